SELECT pg_catalog.format('%s is off: a crash of the machine can destroy the database', name) AS reason,
  pg_catalog.format('ALTER SYSTEM SET %s = on; SELECT pg_reload_conf()', name) AS mend
FROM pg_catalog.pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'
