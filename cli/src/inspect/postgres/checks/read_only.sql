SELECT 'this server is a standby: nobody can log in or out'::text AS reason,
  'connect to the primary: target_session_attrs=read-write'::text AS mend
WHERE pg_catalog.pg_is_in_recovery()
UNION ALL
SELECT 'default_transaction_read_only is on: nobody can log in or out',
  'find out who set it (some providers do when a disk is full), then set it to off'
WHERE pg_catalog.current_setting('default_transaction_read_only') = 'on'
