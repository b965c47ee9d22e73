-- Row security itself is right if other roles have rights. The program's role needs a policy that shows it all rows.
SELECT 'row security applies to this role, and no policy shows it all sessions: it does not find the others'::text AS reason,
  pg_catalog.format('CREATE POLICY sessions ON %I.%I TO %I USING (true) WITH CHECK (true)',
    n.nspname, c.relname, current_user) AS mend
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass('session') AND pg_catalog.row_security_active(c.oid)
  AND (
    NOT EXISTS (
      SELECT FROM pg_catalog.pg_policy AS p
      WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*'
        AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
        AND coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true'
        AND EXISTS (
          SELECT FROM pg_catalog.unnest(p.polroles) AS r(role)
          WHERE r.role = 0 OR pg_catalog.pg_has_role(r.role, 'USAGE')
        )
    )
    OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid AND NOT p.polpermissive)
  )
