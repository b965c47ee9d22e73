-- Everybody, and the roles of visitors at Supabase and PostgREST.
SELECT pg_catalog.format('the role %s has rights on the session table: %s', who, pg_catalog.string_agg(what, ', ')) AS reason,
  pg_catalog.format('REVOKE ALL ON %s FROM %s', which, who) AS mend
FROM (
  SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who, a.privilege_type AS what,
    c.oid::regclass AS which
  FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
  WHERE c.oid = pg_catalog.to_regclass('session')
) AS granted
WHERE who IN ('PUBLIC', 'anon', 'authenticated')
GROUP BY who, which
