-- Creates a substitute for a table that was dropped by hand. Version 1 drops it again.
CREATE TABLE IF NOT EXISTS main.session (session_key TEXT, expire_date INTEGER, owner TEXT, expire_hour INTEGER);

DROP TRIGGER IF EXISTS main.session_expire_hour_of_new;
DROP TRIGGER IF EXISTS main.session_expire_hour_of_changed;
DROP INDEX IF EXISTS main.session_expire_hour_idx;
CREATE INDEX main.session_expire_date_idx ON session (expire_date);
-- Needs SQLite 3.35 or later.
ALTER TABLE main.session DROP COLUMN expire_hour;
