SELECT 'the encoding of the database is SQL_ASCII, which checks no text'::text AS reason,
  'move the sessions to a database with UTF8'::text AS mend
WHERE pg_catalog.getdatabaseencoding() = 'SQL_ASCII'
