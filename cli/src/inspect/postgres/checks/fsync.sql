SELECT 'fsync is off: a crash of the machine can destroy the database, unless its storage has another guard'::text AS reason,
  'ALTER SYSTEM SET fsync = on, then SELECT pg_reload_conf(); or ask your provider'::text AS mend
WHERE pg_catalog.current_setting('fsync') = 'off'
