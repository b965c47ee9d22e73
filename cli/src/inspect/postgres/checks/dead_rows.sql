SELECT pg_catalog.format('%s dead rows beside %s live ones; the last autovacuum: %s', s.n_dead_tup, s.n_live_tup,
    coalesce(s.last_autovacuum::text, 'never')) AS reason,
  pg_catalog.format('VACUUM %s', s.relid::regclass) AS mend
FROM pg_catalog.pg_stat_user_tables AS s
WHERE s.relid = pg_catalog.to_regclass('session') AND s.n_dead_tup >= 10000 AND s.n_dead_tup > s.n_live_tup
