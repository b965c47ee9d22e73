-- No test has a Citus cluster. A login that takes a second is no reason to worry. The coordinator's clock is read before
-- and after the workers', because a worker can be slow to answer.
SELECT CASE WHEN success
    THEN 'the clock of the worker ' || worker || ' differs from that of the coordinator by '
      || pg_catalog.round(theirs - CASE WHEN theirs < before THEN before ELSE after END) || ' seconds'
    ELSE 'the clock of the worker ' || worker || ' could not be read' END AS reason,
  'run NTP on all machines of the cluster'::text AS mend
FROM (
  SELECT nodename || ':' || nodeport AS worker, success,
    CASE WHEN success THEN result::numeric END AS theirs,
    pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())::numeric AS before,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::numeric AS after
  FROM pg_catalog.run_command_on_workers(
    'SELECT pg_catalog.date_part(''epoch'', pg_catalog.clock_timestamp())')
) AS clocks
WHERE NOT success OR theirs < before - 2 OR theirs > after + 2
