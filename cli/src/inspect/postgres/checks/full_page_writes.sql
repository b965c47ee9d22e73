SELECT 'full_page_writes is off: a crash can damage pages, unless the storage writes whole pages'::text AS reason,
  'ALTER SYSTEM SET full_page_writes = on, then SELECT pg_reload_conf(); or ask your provider'::text AS mend
WHERE pg_catalog.current_setting('full_page_writes') = 'off'
