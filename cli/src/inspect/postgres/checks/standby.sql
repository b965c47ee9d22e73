SELECT 'no synchronous standby is connected, so writes wait without end'::text AS reason,
  'start the standby, or ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()'::text AS mend
WHERE pg_catalog.current_setting('synchronous_standby_names') <> ''
  AND pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
  AND NOT pg_catalog.pg_is_in_recovery()
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
