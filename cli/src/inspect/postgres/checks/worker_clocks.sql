-- No test has a Citus cluster. A login that takes a second is no reason to worry.
SELECT CASE WHEN success
    THEN 'the clock of the worker ' || worker || ' differs from that of the coordinator by ' || pg_catalog.round(apart) || ' seconds'
    ELSE 'the clock of the worker ' || worker || ' could not be read' END AS reason,
  'run NTP on all machines of the cluster'::text AS mend
FROM (
  SELECT nodename || ':' || nodeport AS worker, success,
    CASE WHEN success
      THEN result::numeric - pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::numeric END AS apart
  FROM pg_catalog.run_command_on_workers(
    'SELECT pg_catalog.date_part(''epoch'', pg_catalog.clock_timestamp())')
) AS clocks
WHERE NOT success OR pg_catalog.abs(apart) > 2
