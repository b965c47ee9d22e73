-- The rows of the current hour are left for later, and a sweeper may be late.
SELECT pg_catalog.format('expired sessions have waited since %s UTC: nothing deletes them', oldest) AS reason,
  'diesel-session sweep; or run a Sweeper in the application'::text AS mend
FROM (SELECT pg_catalog.min(expire_hour) AS oldest FROM session) AS hours
WHERE oldest < pg_catalog.timezone('UTC', pg_catalog.statement_timestamp()) - interval '3 hours'
