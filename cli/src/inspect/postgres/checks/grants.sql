-- Everybody, and the roles of visitors at Supabase and PostgREST: rights on the tables and on their columns.
SELECT pg_catalog.format('the role %s has rights on %s: %s', who, which, pg_catalog.string_agg(DISTINCT what, ', ')) AS reason,
  pg_catalog.format('REVOKE ALL ON %s FROM %s', which, who) AS mend
FROM (
  SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who, a.privilege_type AS what, t.which
  FROM (
    SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS which, c.relacl
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid IN (pg_catalog.to_regclass('session'), pg_catalog.to_regclass('__diesel_session_migrations'))
  ) AS t
  CROSS JOIN LATERAL (
    SELECT (pg_catalog.aclexplode(t.relacl)).*
    UNION ALL
    SELECT (pg_catalog.aclexplode(columns.attacl)).* FROM pg_catalog.pg_attribute AS columns WHERE columns.attrelid = t.oid
  ) AS a
) AS granted
WHERE who IN ('PUBLIC', 'anon', 'authenticated')
GROUP BY who, which
