-- Creates a substitute for a table that was dropped by hand. Version 1 drops it again.
CREATE TABLE IF NOT EXISTS main.session (
  session_key TEXT, expire_date INTEGER, owner TEXT, expire_hour INTEGER, label TEXT, used_on INTEGER
);
-- Needs SQLite 3.35 or later.
ALTER TABLE main.session DROP COLUMN used_on;
ALTER TABLE main.session DROP COLUMN label;
