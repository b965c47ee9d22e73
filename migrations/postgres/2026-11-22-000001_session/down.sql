DO $$
BEGIN
  IF obj_description('session'::regclass, 'pg_class') LIKE 'Adopted by diesel-session%' THEN
    RAISE EXCEPTION 'the session table was adopted from session-postgresql, with its sessions: drop it by hand if nobody needs it';
  END IF;
END
$$;

DROP TABLE session;
