SELECT 'synchronous_commit is off: after a crash, sessions that were ended can be live again'::text AS reason,
  'ALTER ROLE CURRENT_USER SET synchronous_commit = on; or set it on the server'::text AS mend
WHERE pg_catalog.current_setting('synchronous_commit') = 'off'
