SELECT 'row security applies to this role: sessions that no policy shows are not found'::text AS reason,
  pg_catalog.format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY; or give the role a policy for all rows', c.oid::regclass) AS mend
FROM pg_catalog.pg_class AS c
WHERE c.oid = pg_catalog.to_regclass('session') AND pg_catalog.row_security_active(c.oid)
