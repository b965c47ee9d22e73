-- The columns of this table have the collation "C". Other indexes of the database may be in danger.
SELECT pg_catalog.format('the database was made with version %s of its collation, and the system has version %s',
    d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid)) AS reason,
  pg_catalog.format('REINDEX DATABASE CONCURRENTLY %1$I, then ALTER DATABASE %1$I REFRESH COLLATION VERSION', d.datname) AS mend
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
  AND d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid)
