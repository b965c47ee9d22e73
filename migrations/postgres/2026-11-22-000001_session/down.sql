-- Drops only the table of the current schema, and no table of another schema in the search_path.

DO $$
DECLARE
  schema text := pg_catalog.quote_ident(pg_catalog.current_schema()::text);
  ours regclass := pg_catalog.to_regclass(schema || '.session'::text);
BEGIN
  IF pg_catalog.obj_description(ours::oid, 'pg_class'::name) LIKE 'Adopted by diesel-session%' THEN
    RAISE EXCEPTION 'the session table was adopted from session-postgresql, with its sessions: if nobody needs it, drop it by hand and revert again';
  END IF;
  IF ours IS NOT NULL THEN
    EXECUTE pg_catalog.format('DROP TABLE %s.session', schema);
  END IF;
END
$$;
