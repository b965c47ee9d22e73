-- Turns a migrated session table into one with 16 hash partitions, in one transaction:
--
--     psql -v ON_ERROR_STOP=1 -f partition.sql
--
-- Without ON_ERROR_STOP psql ends with status 0 even if the script did nothing.
--
-- Run it as the table's owner: the script refuses every other role. The owner needs CREATE on the schema, and on the
-- table's tablespace if that is not the database's own. If the owner cannot log in, a member of that role runs SET ROLE
-- first. The member must not be a superuser. The table can contain code, such as a check, and that code runs with the rights
-- of the role that runs this script. After SET ROLE it could switch back to the role that logged in.
--
-- The script finds the table along the search_path. If the table has its own schema, SET search_path first.
--
-- While the script runs, calls of programs wait. They then go on with the new table, also by a prepared statement. Only a
-- transaction that is stricter than READ COMMITTED and began earlier finds no session until it ends.

BEGIN;

-- While this statement waits for its lock, every later query on the table waits behind it. So it gives up soon: run the
-- script again.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = 0;
LOCK TABLE session IN ACCESS EXCLUSIVE MODE;

DO $$
DECLARE
  partitions constant integer := 16;
  old constant regclass := 'session'::regclass;
  its pg_class%ROWTYPE;
  schema text;
  lost text;
  columns text;
  options text;
  statements text[];
  statement text;
  relation regclass;
  depth integer;
BEGIN
  -- From here on names mean PostgreSQL's own functions and operators only.
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT * INTO STRICT its FROM pg_class WHERE oid = old;
  schema := its.relnamespace::regnamespace;
  IF its.relkind <> 'r' OR its.relispartition THEN
    RAISE EXCEPTION 'session is partitioned already';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = old AND attname = 'expire_hour') THEN
    RAISE EXCEPTION 'session is no table that diesel-session has migrated';
  END IF;
  IF current_user <> (SELECT rolname FROM pg_roles WHERE oid = its.relowner) THEN
    RAISE EXCEPTION 'session belongs to %', its.relowner::regrole USING HINT = 'Connect as that role, or as a member of it who is no superuser and has run SET ROLE.';
  END IF;
  -- The new table gets the columns with their defaults, checks, storage and comments. It gets the indexes and constraints
  -- with their comments. It gets the storage parameters, tablespace, comment, owner and grants. If the old table has anything
  -- else, the script stops here, so that nothing gets lost.
  SELECT string_agg(what, ', ') INTO lost FROM (VALUES
    ('a trigger', EXISTS (SELECT FROM pg_trigger WHERE tgrelid = old)),
    ('a rule', EXISTS (SELECT FROM pg_rewrite WHERE ev_class = old)),
    ('a policy', its.relrowsecurity OR its.relforcerowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = old)),
    ('an heir', EXISTS (SELECT FROM pg_inherits WHERE old IN (inhrelid, inhparent))),
    ('a type that it is OF', its.reloftype <> 0),
    ('a foreign key', EXISTS (SELECT FROM pg_constraint WHERE conrelid = old AND contype = 'f')),
    ('a publication', EXISTS (SELECT FROM pg_publication_tables
      WHERE tablename = its.relname AND schemaname = (SELECT nspname FROM pg_namespace WHERE oid = its.relnamespace))),
    ('a subscription', EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = old)),
    ('a replica identity', its.relreplident <> 'd'),
    ('a security label', EXISTS (SELECT FROM pg_seclabels WHERE classoid = 'pg_class'::regclass AND objoid = old)),
    ('a grant on a column', EXISTS (SELECT FROM pg_attribute WHERE attrelid = old AND attacl IS NOT NULL)),
    ('a grant by another than the owner',
      EXISTS (SELECT FROM aclexplode(its.relacl) WHERE grantor <> its.relowner)),
    ('a sequence', EXISTS (SELECT FROM pg_depend JOIN pg_class ON oid = objid
      WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjid = old
        AND deptype = 'a' AND relkind = 'S')),
    ('an identity column', EXISTS (SELECT FROM pg_attribute WHERE attrelid = old AND attidentity <> '')),
    ('options or a statistics target of a column', EXISTS (SELECT FROM pg_attribute
      WHERE (attrelid = old OR attrelid IN (SELECT indexrelid FROM pg_index WHERE indrelid = old))
        AND attnum > 0 AND NOT attisdropped AND (attstattarget >= 0
          -- PostgreSQL 15.20 sets `pg_attver` by itself, on the columns of every table.
          OR EXISTS (SELECT FROM unnest(attoptions) AS option WHERE option NOT LIKE 'pg\_attver=%')))),
    ('extended statistics', EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = old)),
    ('no WAL (UNLOGGED)', its.relpersistence <> 'p'),
    ('an access method that is not the default',
      (SELECT amname FROM pg_am WHERE oid = its.relam) <> current_setting('default_table_access_method')),
    ('parameters of its TOAST table',
      EXISTS (SELECT FROM pg_class WHERE oid = its.reltoastrelid AND reloptions IS NOT NULL)),
    ('an index to CLUSTER by', EXISTS (SELECT FROM pg_index WHERE indrelid = old AND indisclustered)),
    ('an index in another tablespace', EXISTS (SELECT FROM pg_index JOIN pg_class ON oid = indexrelid
      WHERE indrelid = old AND reltablespace <> its.reltablespace)),
    ('parameters of a constraint''s index', EXISTS (SELECT FROM pg_constraint JOIN pg_class ON pg_class.oid = conindid
      WHERE conrelid = old AND contype IN ('p', 'u', 'x') AND reloptions IS NOT NULL))
  ) AS each_kind (what, it_has) WHERE it_has;
  IF lost IS NOT NULL THEN
    RAISE EXCEPTION 'session has what would be lost: %', lost
      USING HINT = 'Drop it, run this again, and make it anew on the partitioned table.';
  END IF;

  -- These statements run after the old table is dropped, because they use its names again.
  SELECT array_agg(line ORDER BY line LIKE 'COMMENT ON %') INTO statements FROM (
    SELECT format('ALTER TABLE %s.session ADD CONSTRAINT %I %s', schema, conname, pg_get_constraintdef(oid)) AS line
    FROM pg_constraint WHERE conrelid = old AND contype IN ('p', 'u', 'x')
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = old AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT format('COMMENT ON TABLE %s.session IS %L', schema, description)
    FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid = old AND objsubid = 0
    UNION ALL
    SELECT format('COMMENT ON CONSTRAINT %I ON %s.session IS %L', conname, schema, description)
    FROM pg_constraint JOIN pg_description ON classoid = 'pg_constraint'::regclass AND objoid = oid WHERE conrelid = old
    UNION ALL
    SELECT format('COMMENT ON INDEX %s IS %L', indexrelid::regclass, description)
    FROM pg_index JOIN pg_description ON classoid = 'pg_class'::regclass AND objoid = indexrelid AND objsubid = 0
    WHERE indrelid = old
  ) AS made_anew;
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
  FROM pg_attribute WHERE attrelid = old AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

  options := 'WITH (' || array_to_string(its.reloptions, ', ') || ')';
  -- Empty means the database's own tablespace.
  PERFORM set_config('default_tablespace',
    coalesce((SELECT spcname FROM pg_tablespace WHERE oid = its.reltablespace), ''), true);

  EXECUTE format('ALTER TABLE %s.session RENAME TO session_unpartitioned', schema);
  EXECUTE format('CREATE TABLE %s.session (LIKE %1$s.session_unpartitioned INCLUDING ALL EXCLUDING INDEXES) '
    'PARTITION BY HASH (session_key)', schema);
  FOR remainder IN 0 .. partitions - 1 LOOP
    EXECUTE format('CREATE TABLE %1$s.session_p%2$s PARTITION OF %1$s.session '
      'FOR VALUES WITH (MODULUS %3$s, REMAINDER %2$s) %4$s', schema, remainder, partitions, options);
  END LOOP;
  EXECUTE format('INSERT INTO %s.session (%s) SELECT %2$s FROM %1$s.session_unpartitioned', schema, columns);
  EXECUTE format('DROP TABLE %s.session_unpartitioned', schema);
  FOREACH statement IN ARRAY statements LOOP
    EXECUTE statement;
  END LOOP;

  -- Default privileges may have granted rights on the new tables: to other roles, and to the owner those that were revoked
  -- on the old table. On the partitions only the owner has rights. Otherwise REVOKE on session would not be enough.
  FOR relation, depth IN SELECT relid, level FROM pg_partition_tree(format('%s.session', schema)::regclass) LOOP
    FOR statement IN
      SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', relation,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
      FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', its.relowner))) WHERE oid = relation
    LOOP
      EXECUTE statement;
    END LOOP;
    FOR statement IN
      SELECT format('GRANT %s ON %s TO %s%s', privilege_type, relation,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM aclexplode(coalesce(its.relacl, acldefault('r', its.relowner)))
      WHERE grantee = its.relowner OR depth = 0
    LOOP
      EXECUTE statement;
    END LOOP;
  END LOOP;
END
$$;

COMMIT;

-- Autovacuum gathers no statistics of a partitioned table as a whole.
ANALYZE session;
