-- In the place of a table that was dropped by hand; version 1 drops it again.
CREATE TABLE IF NOT EXISTS session (session_key TEXT, expire_date INTEGER, owner TEXT, expire_hour INTEGER);

DROP TRIGGER IF EXISTS session_expire_hour_of_new;
DROP TRIGGER IF EXISTS session_expire_hour_of_changed;
DROP INDEX IF EXISTS session_expire_hour_idx;
CREATE INDEX session_expire_date_idx ON session (expire_date);
-- SQLite 3.35 or later.
ALTER TABLE session DROP COLUMN expire_hour;
