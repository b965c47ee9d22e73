SELECT pg_catalog.format('only %s %% of the updates were HOT, so writes also change the indexes',
    100 * s.n_tup_hot_upd / s.n_tup_upd) AS reason,
  pg_catalog.format('drop indexes on columns that writes change (expire_date, session_data, used_on, label), or '
    'ALTER TABLE %s SET (fillfactor = 80)', s.relid::regclass) AS mend
FROM pg_catalog.pg_stat_user_tables AS s
WHERE s.relid = pg_catalog.to_regclass('session') AND s.n_tup_upd >= 1000 AND s.n_tup_hot_upd < s.n_tup_upd / 2
