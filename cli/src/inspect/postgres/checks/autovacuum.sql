SELECT 'autovacuum is off on the server: dead rows stay, and transaction numbers run out'::text AS reason,
  'ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()'::text AS mend
WHERE pg_catalog.current_setting('autovacuum') = 'off'
UNION ALL
SELECT 'autovacuum is off for the session table: dead rows stay',
  pg_catalog.format('ALTER TABLE %s RESET (autovacuum_enabled)', c.oid::regclass)
FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) AS o
WHERE c.oid = pg_catalog.to_regclass('session') AND o.option_name = 'autovacuum_enabled'
  AND o.option_value IN ('false', 'off', 'no', '0')
