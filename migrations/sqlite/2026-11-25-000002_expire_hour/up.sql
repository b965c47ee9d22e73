-- The expiry in hours since 1970, for the index that finds expired rows. With an index on expire_date itself, every
-- write of a session would also write that index. Older programs do not know this column, so triggers set it. They do
-- nothing if it is already right.
ALTER TABLE main.session ADD COLUMN expire_hour INTEGER;
UPDATE main.session SET expire_hour = expire_date / 3600000;

DROP INDEX main.session_expire_date_idx;
CREATE INDEX main.session_expire_hour_idx ON session (expire_hour) WHERE expire_hour IS NOT NULL;

-- It is not a generated column, because SQLite would write its index with every UPDATE of expire_date.
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
