-- Changes only the table of the current schema. If it was dropped by hand, this does nothing, and version 1 drops
-- nothing.
DO $$
BEGIN
  EXECUTE pg_catalog.format('ALTER TABLE IF EXISTS %I.session DROP COLUMN label, DROP COLUMN used_on',
    pg_catalog.current_schema());
END
$$;
