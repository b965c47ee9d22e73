-- A table of that name in an attached database is another one.
DROP TABLE IF EXISTS main.session;
