SELECT pg_catalog.format('%s of %s connections are used', used, allowed) AS reason,
  'use smaller pools, or a pooler, or raise max_connections'::text AS mend
FROM (
  SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') AS used,
    pg_catalog.current_setting('max_connections')::int AS allowed
) AS connections
WHERE used >= 0.8 * allowed
