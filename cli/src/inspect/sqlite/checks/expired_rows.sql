-- The rows of the current hour are left for later, and a sweeper may be late.
SELECT 'expired sessions have waited since ' || datetime(oldest * 3600, 'unixepoch') || ' UTC: nothing deletes them' AS reason,
  'diesel-session sweep; or run a Sweeper in the application' AS mend
FROM (SELECT min(expire_hour) AS oldest FROM session WHERE expire_hour IS NOT NULL)
WHERE oldest < CAST(strftime('%s', 'now') AS INTEGER) / 3600 - 3
