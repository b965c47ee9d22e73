-- A table of the same name in an attached database is another table.
DROP TABLE IF EXISTS main.session;
