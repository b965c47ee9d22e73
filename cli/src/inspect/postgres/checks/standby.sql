-- Other roles do not see the state of standbys.
SELECT 'no synchronous standby is connected, so writes wait without end'::text AS reason,
  'start the standby; if it is lost for good, take it out of synchronous_standby_names'::text AS mend
WHERE pg_catalog.current_setting('synchronous_standby_names') <> ''
  AND pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
  AND NOT pg_catalog.pg_is_in_recovery()
  AND pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
