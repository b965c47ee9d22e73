SELECT pg_catalog.format('%I.%I has %s dead rows beside %s live ones; the last autovacuum: %s', s.schemaname, s.relname,
    s.n_dead_tup, s.n_live_tup, coalesce(s.last_autovacuum::text, 'never')) AS reason,
  pg_catalog.format('VACUUM %I.%I', s.schemaname, s.relname) AS mend
FROM pg_catalog.pg_stat_user_tables AS s
WHERE s.n_dead_tup >= 10000 AND s.n_dead_tup > s.n_live_tup
  AND (s.relid = pg_catalog.to_regclass('session')
    OR s.relid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass('session'))))
