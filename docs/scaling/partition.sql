-- Turns a migrated session table into one of 16 hash partitions, in one transaction: psql -f partition.sql
-- The table is looked for along the search_path: for a schema of its own, SET search_path first.
--
-- Meanwhile nobody reads or writes a session, and whoever waits goes on with the new table, by a prepared statement
-- too. Only a transaction that is stricter than READ COMMITTED and began earlier finds no session until it ends.

BEGIN;

-- Whoever waits for this lock holds up everybody who comes after: rather give up, and be run again.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = 0;
LOCK TABLE session IN ACCESS EXCLUSIVE MODE;

DO $$
DECLARE
  partitions constant integer := 16;
  old constant regclass := 'session'::regclass;
  its pg_class%ROWTYPE;
  schema text;
  columns text;
  statements text[];
  statement text;
BEGIN
  SELECT * INTO STRICT its FROM pg_class WHERE oid = old;
  schema := its.relnamespace::regnamespace;
  IF its.relkind <> 'r' OR its.relispartition THEN
    RAISE EXCEPTION 'session is partitioned already';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = old AND attname = 'expire_hour') THEN
    RAISE EXCEPTION 'session is no table that diesel-session has migrated';
  END IF;
  -- Everything else is carried over: columns, defaults, checks, indexes, comment, owner and grants.
  IF its.relhasrules OR its.relrowsecurity OR its.relforcerowsecurity OR its.relreplident <> 'd'
    OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = old)
    OR EXISTS (SELECT FROM pg_policy WHERE polrelid = old)
    OR EXISTS (SELECT FROM pg_inherits WHERE old IN (inhrelid, inhparent))
    OR EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = old)
    OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = old AND attacl IS NOT NULL)
    OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = old AND contype = 'f')
  THEN
    RAISE EXCEPTION 'session has what would be lost: a trigger, rule, policy, heir, foreign key, publication, replica identity or grant on a column'
      USING HINT = 'Drop it, run this again, and make it anew on the partitioned table.';
  END IF;

  -- What is made anew once the old table is gone, under the names that it had.
  SELECT array_agg(line) INTO statements FROM (
    SELECT format('ALTER TABLE %s.session ADD CONSTRAINT %I %s', schema, conname, pg_get_constraintdef(oid)) AS line
    FROM pg_constraint WHERE conrelid = old AND contype IN ('p', 'u', 'x')
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = old AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT format('COMMENT ON TABLE %s.session IS %L', schema, description)
    FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid = old AND objsubid = 0
    UNION ALL
    SELECT format('ALTER TABLE %s.session OWNER TO %s', schema, its.relowner::regrole)
    UNION ALL
    SELECT format('GRANT %s ON %s.session TO %s%s', privilege_type, schema,
      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
      CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM aclexplode(its.relacl) WHERE grantee <> its.relowner
  ) AS made_anew;
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
  FROM pg_attribute WHERE attrelid = old AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

  EXECUTE format('ALTER TABLE %s.session RENAME TO session_unpartitioned', schema);
  EXECUTE format('CREATE TABLE %s.session (LIKE %1$s.session_unpartitioned INCLUDING ALL EXCLUDING INDEXES) '
    'PARTITION BY HASH (session_key)', schema);
  FOR remainder IN 0 .. partitions - 1 LOOP
    -- Room in each page for the next version of its rows, as the migrations leave it.
    EXECUTE format('CREATE TABLE %1$s.session_p%2$s PARTITION OF %1$s.session '
      'FOR VALUES WITH (MODULUS %3$s, REMAINDER %2$s) WITH (fillfactor = 80)', schema, remainder, partitions);
    EXECUTE format('ALTER TABLE %s.session_p%s OWNER TO %s', schema, remainder, its.relowner::regrole);
  END LOOP;
  EXECUTE format('INSERT INTO %s.session (%s) SELECT %2$s FROM %1$s.session_unpartitioned', schema, columns);
  EXECUTE format('DROP TABLE %s.session_unpartitioned', schema);
  FOREACH statement IN ARRAY statements LOOP
    EXECUTE statement;
  END LOOP;
END
$$;

COMMIT;

-- Of a partitioned table as a whole autovacuum gathers no statistics.
ANALYZE session;
