-- The session table: made anew, or out of the one that OCaml's session-postgresql used. What follows does
-- nothing to a new table that it would not do to an old one.

DO $$
DECLARE
  old regclass := to_regclass(quote_ident(current_schema()) || '.session');
  their_index regclass := to_regclass(quote_ident(current_schema()) || '.session_key_idx');
BEGIN
  IF old IS NOT NULL THEN
    -- Read by down.sql: a table that we did not make is not ours to drop.
    EXECUTE format('COMMENT ON TABLE %s IS %L', old, 'Adopted by diesel-session from session-postgresql.');
    -- The original's index of this name is not unique; ours is made below.
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = their_index AND indrelid = old) THEN
      EXECUTE format('DROP INDEX %s', their_index);
    END IF;
  END IF;
END
$$;

CREATE TABLE IF NOT EXISTS session (
  session_key  char(40),
  expire_date  timestamp(2) with time zone,
  session_data text
);

LOCK TABLE session IN ACCESS EXCLUSIVE MODE;

-- Rows that the original could not serve: without a key, without an expiry, or dead for ever.
DELETE FROM session
WHERE session_key IS NULL OR expire_date IS NULL OR expire_date = '-infinity';

-- Of several rows with one key the newest live one stays, which is the one that lives longest.
DELETE FROM session AS other
USING session AS longest
WHERE other.session_key = longest.session_key
  AND (other.expire_date, other.ctid) < (longest.expire_date, longest.ctid);

-- Immortal sessions become mortal: one default period from now.
UPDATE session SET expire_date = statement_timestamp() + INTERVAL '7 days' WHERE expire_date = 'infinity';

-- Missing, which costs no rewrite, or nullable as in the original's own script.
ALTER TABLE session
  ADD COLUMN IF NOT EXISTS created_on timestamp(2) with time zone DEFAULT statement_timestamp();
ALTER TABLE session ALTER COLUMN created_on TYPE timestamp(2) with time zone;
UPDATE session SET created_on = statement_timestamp() WHERE created_on IS NULL OR NOT isfinite(created_on);

ALTER TABLE session
  ALTER COLUMN session_key SET NOT NULL,
  ALTER COLUMN created_on SET NOT NULL,
  ALTER COLUMN created_on SET DEFAULT statement_timestamp(),
  ALTER COLUMN expire_date SET NOT NULL,
  -- Who is logged in; an index of its own below.
  ADD COLUMN owner text,
  -- The expiry, coarsely, for the index that finds expired rows: with an index on expire_date itself every
  -- write of a session would touch every index. So only the first write in a new hour does.
  ADD COLUMN expire_hour timestamp NOT NULL
    GENERATED ALWAYS AS (date_trunc('hour', expire_date AT TIME ZONE 'UTC')) STORED,
  ADD CONSTRAINT session_key_idx PRIMARY KEY (session_key),
  ADD CONSTRAINT session_expire_date_finite CHECK (isfinite(expire_date)),
  -- Room in each page for the next version of its rows.
  SET (fillfactor = 80);

CREATE INDEX session_expire_hour_idx ON session (expire_hour);
CREATE INDEX session_owner_idx ON session (owner) WHERE owner IS NOT NULL;
