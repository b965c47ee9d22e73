SELECT 'autovacuum is off on the server: dead rows stay, and transaction numbers run out'::text AS reason,
  'ALTER SYSTEM SET autovacuum = on, then SELECT pg_reload_conf(); or the settings of your provider'::text AS mend
WHERE pg_catalog.current_setting('autovacuum') = 'off'
UNION ALL
SELECT pg_catalog.format('autovacuum is off for %I.%I: dead rows stay', n.nspname, c.relname),
  pg_catalog.format('ALTER TABLE %I.%I RESET (autovacuum_enabled)', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) AS o
WHERE (c.oid = pg_catalog.to_regclass('session')
    OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass('session'))))
  AND o.option_name = 'autovacuum_enabled' AND o.option_value IN ('false', 'off', 'no', '0')
