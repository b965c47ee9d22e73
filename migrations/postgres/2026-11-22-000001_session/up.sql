-- Creates the session table, or brings that of OCaml's session-postgresql to the same form. The statements after
-- the creation run on a new table and on an old one alike.
--
-- Every function is called as pg_catalog.name, because a schema on the search_path may have other functions of the same
-- name.

DO $$
DECLARE
  schema text := pg_catalog.quote_ident(pg_catalog.current_schema()::text);
  old regclass := pg_catalog.to_regclass(schema || '.session'::text);
  their_index regclass := pg_catalog.to_regclass(schema || '.session_key_idx'::text);
BEGIN
  IF old IS NULL THEN
    -- Keys and owners compare by bytes. The order of another collation can change with the operating system, and an
    -- index would then miss rows. There is no IF NOT EXISTS, because another role may create its own table at this
    -- moment.
    CREATE TABLE session (
      session_key  char(40) COLLATE pg_catalog."C",
      expire_date  timestamp(2) with time zone,
      session_data text
    );
  ELSIF pg_catalog.current_setting('diesel_session.table'::text, true) = 'missing' THEN
    RAISE EXCEPTION 'another session table appeared during the migration: look who made it';
  ELSE
    -- down.sql reads this comment, because it must not drop a table that this crate did not create.
    EXECUTE pg_catalog.format('COMMENT ON TABLE %s.session IS %L', schema,
      'Adopted by diesel-session from session-postgresql.');
    -- The index of session-postgresql with this name is not unique. A unique one is created below.
    IF EXISTS (SELECT FROM pg_catalog.pg_index
               WHERE indexrelid = their_index::oid AND indrelid = old::oid) THEN
      EXECUTE pg_catalog.format('DROP INDEX %s.session_key_idx', schema);
    END IF;
  END IF;
END
$$;

LOCK TABLE session IN ACCESS EXCLUSIVE MODE;

-- Deletes rows that session-postgresql could not serve: without a key, without an expiry, or expired for ever.
DELETE FROM session
WHERE session_key IS NULL OR expire_date IS NULL OR expire_date = '-infinity';

-- If several rows have one key, the one that lives longest stays.
DELETE FROM session AS other
USING session AS longest
WHERE other.session_key = longest.session_key
  AND (other.expire_date, other.ctid) < (longest.expire_date, longest.ctid);

-- An infinite expiry becomes one default period from now.
UPDATE session SET expire_date = pg_catalog.statement_timestamp() + INTERVAL '7 days' WHERE expire_date = 'infinity';

-- The column can be missing, and to add it needs no rewrite. Or it is nullable, as in the script of session-postgresql.
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
  -- The user who is logged in. Its index is created below.
  ADD COLUMN owner text COLLATE pg_catalog."C",
  -- The expiry, rounded down to the hour, for the index that finds expired rows. With an index on expire_date itself,
  -- every write of a session would update every index. With this one, only the first write in a new hour does.
  ADD COLUMN expire_hour timestamp NOT NULL
    GENERATED ALWAYS AS (pg_catalog.date_trunc('hour'::text, expire_date AT TIME ZONE 'UTC')) STORED,
  ADD CONSTRAINT session_key_idx PRIMARY KEY (session_key),
  ADD CONSTRAINT session_expire_date_finite CHECK (pg_catalog.isfinite(expire_date)),
  -- Leaves room in each page for the next versions of its rows.
  SET (fillfactor = 80);

CREATE INDEX session_expire_hour_idx ON session (expire_hour);
-- Has the order in which an owner's sessions are listed and ended.
CREATE INDEX session_owner_idx ON session (owner, created_on) WHERE owner IS NOT NULL;
