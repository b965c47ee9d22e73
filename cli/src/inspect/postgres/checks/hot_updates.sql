-- Our own indexes allow HOT updates, except for the first write of a session in an hour. Others may not.
SELECT pg_catalog.format('only %s %% of the updates were HOT: the index %I has a column that every write changes',
    100 * updates.hot / updates.all_of_them, x.relname) AS reason,
  pg_catalog.format('DROP INDEX %I.%I', n.nspname, x.relname) AS mend
FROM (
  SELECT pg_catalog.sum(s.n_tup_hot_upd) AS hot, pg_catalog.sum(s.n_tup_upd) AS all_of_them
  FROM pg_catalog.pg_stat_user_tables AS s
  WHERE s.relid = pg_catalog.to_regclass('session')
    OR s.relid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass('session')))
) AS updates
CROSS JOIN pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
WHERE i.indrelid = pg_catalog.to_regclass('session')
  AND EXISTS (
    SELECT FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      AND a.attname IN ('expire_date', 'session_data', 'used_on', 'label')
  )
  AND updates.all_of_them >= 1000 AND updates.hot < updates.all_of_them / 2
