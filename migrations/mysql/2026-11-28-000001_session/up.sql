-- Each statement commits, so each can run again if a run was interrupted.
--
-- Binary columns compare bytes. Dates are in milliseconds since 1970 in UTC.
CREATE TABLE IF NOT EXISTS session (
  session_key  BINARY(40) NOT NULL PRIMARY KEY,
  created_on   BIGINT NOT NULL
    DEFAULT (TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000),
  expire_date  BIGINT NOT NULL,
  session_data LONGBLOB,
  -- One byte more than an owner's name has, because the owner of a session that is being renewed begins with U+0001.
  owner        VARBINARY(256),
  label        VARBINARY(255),
  -- When the session was last written; null if it was never written after its creation.
  used_on      BIGINT,
  -- For the index that finds expired rows. With an index on expire_date, every write would also write that index.
  expire_hour  BIGINT GENERATED ALWAYS AS (expire_date DIV 3600000) STORED,
  KEY session_expire_hour_idx (expire_hour),
  -- Has the order in which an owner's sessions are listed and ended.
  KEY session_owner_idx (owner, created_on)
) ENGINE = InnoDB COMMENT = 'Made by diesel-session.';

-- A transaction locks one of these rows for an owner, because an owner may have no session that it could lock.
CREATE TABLE IF NOT EXISTS session_owner_lock (
  slot SMALLINT NOT NULL PRIMARY KEY
) ENGINE = InnoDB COMMENT = 'Made by diesel-session.';
INSERT IGNORE INTO session_owner_lock
  WITH RECURSIVE slots AS (SELECT 0 AS slot UNION ALL SELECT slot + 1 FROM slots WHERE slot < 255)
  SELECT slot FROM slots;
