WITH found AS (
  SELECT i.indexrelid::regclass AS which, a.attname AS first, i.indisunique AS is_unique,
    i.indisvalid AND i.indisready AS is_valid
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE i.indrelid = pg_catalog.to_regclass('session')
)
SELECT pg_catalog.format('no index serves the column %s', needed.name) AS reason, needed.mend
FROM (VALUES
  ('session_key', 'ALTER TABLE session ADD CONSTRAINT session_key_idx PRIMARY KEY (session_key)'),
  ('expire_hour', 'CREATE INDEX CONCURRENTLY session_expire_hour_idx ON session (expire_hour)'),
  ('owner', 'CREATE INDEX CONCURRENTLY session_owner_idx ON session (owner, created_on) WHERE owner IS NOT NULL')
) AS needed(name, mend)
WHERE NOT EXISTS (
  SELECT FROM found WHERE found.first = needed.name AND (found.is_unique OR needed.name <> 'session_key')
)
UNION ALL
SELECT pg_catalog.format('the index %s is invalid', which), pg_catalog.format('REINDEX INDEX CONCURRENTLY %s', which)
FROM found WHERE NOT is_valid
