-- The session table: a new one, or the one that OCaml's session-postgresql used. The statements do nothing to a new
-- table that they would not do to an old one.
--
-- Every function is called as pg_catalog.name: a schema on the search_path may hold others of the same name.

DO $$
DECLARE
  schema text := pg_catalog.quote_ident(pg_catalog.current_schema()::text);
  old regclass := pg_catalog.to_regclass(schema || '.session'::text);
  their_index regclass := pg_catalog.to_regclass(schema || '.session_key_idx'::text);
BEGIN
  IF old IS NULL THEN
    -- Keys and owners compare by bytes: the order of another collation can change with the operating system, and an
    -- index would then miss rows. Not IF NOT EXISTS: another role may make one of its own at this moment.
    CREATE TABLE session (
      session_key  char(40) COLLATE pg_catalog."C",
      expire_date  timestamp(2) with time zone,
      session_data text
    );
  ELSIF pg_catalog.current_setting('diesel_session.table'::text, true) = 'missing' THEN
    RAISE EXCEPTION 'another session table appeared during the migration: look who made it';
  ELSE
    -- Read by down.sql: a table that we did not make is not ours to drop.
    EXECUTE pg_catalog.format('COMMENT ON TABLE %s.session IS %L', schema,
      'Adopted by diesel-session from session-postgresql.');
    -- The original's index of this name is not unique; ours is made below.
    IF EXISTS (SELECT FROM pg_catalog.pg_index
               WHERE indexrelid = their_index::oid AND indrelid = old::oid) THEN
      EXECUTE pg_catalog.format('DROP INDEX %s.session_key_idx', schema);
    END IF;
  END IF;
END
$$;

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
UPDATE session SET expire_date = pg_catalog.statement_timestamp() + INTERVAL '7 days' WHERE expire_date = 'infinity';

-- Missing, which costs no rewrite, or nullable as in the original's own script.
ALTER TABLE session
  ADD COLUMN IF NOT EXISTS created_on timestamp(2) with time zone DEFAULT pg_catalog.statement_timestamp();
ALTER TABLE session ALTER COLUMN created_on TYPE timestamp(2) with time zone;
UPDATE session SET created_on = pg_catalog.statement_timestamp()
WHERE created_on IS NULL OR NOT pg_catalog.isfinite(created_on);

ALTER TABLE session
  ALTER COLUMN session_key TYPE char(40) COLLATE pg_catalog."C",
  ALTER COLUMN session_key SET NOT NULL,
  ALTER COLUMN created_on SET NOT NULL,
  ALTER COLUMN created_on SET DEFAULT pg_catalog.statement_timestamp(),
  ALTER COLUMN expire_date SET NOT NULL,
  -- Who is logged in; an index of its own below.
  ADD COLUMN owner text COLLATE pg_catalog."C",
  -- The expiry, coarsely, for the index that finds expired rows: with an index on expire_date itself every
  -- write of a session would touch every index. So only the first write in a new hour does.
  ADD COLUMN expire_hour timestamp NOT NULL
    GENERATED ALWAYS AS (pg_catalog.date_trunc('hour'::text, expire_date AT TIME ZONE 'UTC')) STORED,
  ADD CONSTRAINT session_key_idx PRIMARY KEY (session_key),
  ADD CONSTRAINT session_expire_date_finite CHECK (pg_catalog.isfinite(expire_date)),
  -- Room in each page for the next version of its rows.
  SET (fillfactor = 80);

CREATE INDEX session_expire_hour_idx ON session (expire_hour);
-- In the order in which an owner's sessions are listed and end.
CREATE INDEX session_owner_idx ON session (owner, created_on) WHERE owner IS NOT NULL;
