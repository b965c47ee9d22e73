-- The rows of the current hour are left for later, and a sweeper may be late.
SELECT CONCAT('expired sessions have waited since ', TIMESTAMPADD(HOUR, oldest, '1970-01-01 00:00:00'),
    ' UTC: nothing deletes them') AS reason,
  'diesel-session sweep; or run a Sweeper in the application' AS mend
FROM (SELECT MIN(expire_hour) AS oldest FROM session) AS hours
WHERE oldest < TIMESTAMPDIFF(HOUR, '1970-01-01', UTC_TIMESTAMP()) - 3
