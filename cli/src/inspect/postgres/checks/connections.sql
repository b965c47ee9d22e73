-- Every role may read these statistics.
SELECT pg_catalog.format('%s of %s connections are used', used, allowed) AS reason,
  'use smaller pools, or a pooler, or raise max_connections'::text AS mend
FROM (
  SELECT (SELECT pg_catalog.sum(numbackends) FROM pg_catalog.pg_stat_database) AS used,
    pg_catalog.current_setting('max_connections')::int
      - pg_catalog.current_setting('superuser_reserved_connections')::int AS allowed
) AS connections
WHERE used >= 0.8 * allowed
