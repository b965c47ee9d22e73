-- The expiry, coarsely, for the index that finds expired rows: with an index on expire_date itself every write of
-- a session writes that index, too. Hours since 1970. Programs older than this version know nothing of it, so
-- triggers keep it, which do nothing where it is right already.
ALTER TABLE main.session ADD COLUMN expire_hour INTEGER;
UPDATE main.session SET expire_hour = expire_date / 3600000;

DROP INDEX main.session_expire_date_idx;
CREATE INDEX main.session_expire_hour_idx ON session (expire_hour) WHERE expire_hour IS NOT NULL;

-- Not a generated column: SQLite writes the index of such a one with every UPDATE of what it is made of.
CREATE TRIGGER main.session_expire_hour_of_new AFTER INSERT ON session
WHEN new.expire_hour IS NOT new.expire_date / 3600000
BEGIN
  UPDATE session SET expire_hour = new.expire_date / 3600000 WHERE session_key = new.session_key;
END;

CREATE TRIGGER main.session_expire_hour_of_changed AFTER UPDATE OF expire_date ON session
WHEN new.expire_hour IS NOT new.expire_date / 3600000
BEGIN
  UPDATE session SET expire_hour = new.expire_date / 3600000 WHERE session_key = new.session_key;
END;
