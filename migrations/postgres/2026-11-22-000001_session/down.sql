DO $$
DECLARE
  ours regclass := to_regclass('session');
BEGIN
  IF obj_description(ours, 'pg_class') LIKE 'Adopted by diesel-session%' THEN
    RAISE EXCEPTION 'the session table was adopted from session-postgresql, with its sessions: if nobody needs it, drop it by hand and revert again';
  END IF;
  IF ours IS NOT NULL THEN
    EXECUTE format('DROP TABLE %s', ours);
  END IF;
END
$$;
