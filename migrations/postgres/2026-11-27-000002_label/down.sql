-- The table of the current schema and no other. It may have been dropped by hand; version 1 then drops nothing.
DO $$
BEGIN
  EXECUTE pg_catalog.format('ALTER TABLE IF EXISTS %I.session DROP COLUMN label, DROP COLUMN used_on',
    pg_catalog.current_schema());
END
$$;
