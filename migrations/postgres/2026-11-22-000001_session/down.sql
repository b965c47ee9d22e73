DO $$
DECLARE
  ours regclass := to_regclass(quote_ident(current_schema()) || '.session');
BEGIN
  IF obj_description(ours, 'pg_class') LIKE 'Adopted by diesel-session%' THEN
    RAISE EXCEPTION 'the session table was adopted from session-postgresql, with its sessions: drop it by hand if nobody needs it';
  END IF;
  EXECUTE format('DROP TABLE %s', ours);
END
$$;
