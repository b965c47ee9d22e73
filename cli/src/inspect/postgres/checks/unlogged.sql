SELECT 'the session table is unlogged: a crash empties it, and no standby has it'::text AS reason,
  pg_catalog.format('ALTER TABLE %s SET LOGGED', c.oid::regclass) AS mend
FROM pg_catalog.pg_class AS c
WHERE c.oid = pg_catalog.to_regclass('session') AND c.relpersistence = 'u'
