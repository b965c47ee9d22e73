-- Dates are milliseconds since 1970 in UTC.
CREATE TABLE session (
  session_key  TEXT    NOT NULL CONSTRAINT session_key_idx PRIMARY KEY,
  created_on   INTEGER NOT NULL
    DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
  expire_date  INTEGER NOT NULL
    CONSTRAINT session_expire_date_finite CHECK (typeof(expire_date) = 'integer'),
  session_data TEXT,
  owner        TEXT,
  -- The expiry, coarsely, for the index that finds expired rows: with an index on expire_date itself every
  -- write of a session would write that index, too. Hours since 1970; kept by the triggers below.
  expire_hour  INTEGER
);

CREATE INDEX session_expire_hour_idx ON session (expire_hour) WHERE expire_hour IS NOT NULL;
CREATE INDEX session_owner_idx ON session (owner) WHERE owner IS NOT NULL;

-- Not a generated column: SQLite writes the index of such a one with every UPDATE of what it is made of.
CREATE TRIGGER session_expire_hour_of_new AFTER INSERT ON session
BEGIN
  UPDATE session SET expire_hour = new.expire_date / 3600000 WHERE session_key = new.session_key;
END;

CREATE TRIGGER session_expire_hour_of_changed AFTER UPDATE OF expire_date ON session
WHEN old.expire_hour IS NOT new.expire_date / 3600000
BEGIN
  UPDATE session SET expire_hour = new.expire_date / 3600000 WHERE session_key = new.session_key;
END;
