SELECT 'synchronous_commit is off for this role: after a crash, sessions that were ended can be live again'::text AS reason,
  'ALTER ROLE … SET synchronous_commit = on, for the role of your program; or set it on the server'::text AS mend
WHERE pg_catalog.current_setting('synchronous_commit') = 'off'
