-- Dates are in milliseconds since 1970 in UTC.
CREATE TABLE main.session (
  session_key  TEXT    NOT NULL CONSTRAINT session_key_idx PRIMARY KEY,
  created_on   INTEGER NOT NULL
    DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
  expire_date  INTEGER NOT NULL
    CONSTRAINT session_expire_date_finite CHECK (typeof(expire_date) = 'integer'),
  session_data TEXT,
  owner        TEXT
);

CREATE INDEX main.session_expire_date_idx ON session (expire_date);
-- Has the order in which an owner's sessions are listed and ended.
CREATE INDEX main.session_owner_idx ON session (owner, created_on) WHERE owner IS NOT NULL;
