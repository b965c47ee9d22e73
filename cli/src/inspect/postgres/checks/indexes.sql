WITH ours AS (
  SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
    -- A partitioned table knows no such option.
    CASE WHEN c.relkind = 'p' THEN '' ELSE 'CONCURRENTLY ' END AS concurrently
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.oid = pg_catalog.to_regclass('session')
), found AS (
  SELECT x.oid, pg_catalog.format('%I.%I', n.nspname, x.relname) AS name, a.attname AS first, i.indisunique AS is_unique,
    i.indpred IS NULL AS is_whole, i.indisvalid AND i.indisready AS is_valid
  FROM pg_catalog.pg_index AS i
  JOIN ours ON ours.oid = i.indrelid
  JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
)
SELECT pg_catalog.format('no index serves the column %s', needed.first) AS reason,
  pg_catalog.format(needed.mend, ours.concurrently, ours.name) AS mend
FROM ours CROSS JOIN (VALUES
  ('session_key', 'ALTER TABLE %2$s ADD CONSTRAINT session_key_idx PRIMARY KEY (session_key)'),
  ('expire_hour', 'CREATE INDEX %1$ssession_expire_hour_idx ON %2$s (expire_hour)'),
  ('owner', 'CREATE INDEX %1$ssession_owner_idx ON %2$s (owner, created_on) WHERE owner IS NOT NULL')
) AS needed(first, mend)
WHERE NOT EXISTS (
  SELECT FROM found
  WHERE found.first = needed.first AND (found.is_unique OR needed.first <> 'session_key')
    AND (found.is_whole OR needed.first = 'owner')
)
UNION ALL
-- An index that is being built is not valid yet.
SELECT pg_catalog.format('the index %s is invalid', found.name),
  CASE WHEN found.name LIKE '%\_ccnew%' THEN pg_catalog.format('DROP INDEX %s', found.name)
    ELSE pg_catalog.format('REINDEX INDEX %s%s', ours.concurrently, found.name) END
FROM found CROSS JOIN ours
WHERE NOT found.is_valid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = found.oid)
