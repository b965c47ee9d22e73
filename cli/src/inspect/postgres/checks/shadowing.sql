-- Tables of the same name that the search_path reaches.
SELECT pg_catalog.format('schema %I of the search_path has another table `session`', n.nspname) AS reason,
  'name the schema of the sessions with --schema and Builder::schema, or rename the other table'::text AS mend
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'session' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.oid <> pg_catalog.to_regclass('session') AND n.nspname = ANY (pg_catalog.current_schemas(false))
