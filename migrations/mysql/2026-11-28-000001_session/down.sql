DROP TABLE IF EXISTS session_owner_lock;
DROP TABLE IF EXISTS session;
