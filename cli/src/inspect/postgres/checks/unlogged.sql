SELECT 'the session table is unlogged: a crash empties it, and no standby has it'::text AS reason,
  pg_catalog.format('ALTER TABLE %I.%I SET LOGGED', n.nspname, c.relname) AS mend
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass('session') AND c.relpersistence = 'u'
