SELECT CONCAT('the index ', needed.name, ' is missing') AS reason, needed.mend AS mend
FROM (
  SELECT 'session_expire_hour_idx' AS name, 'CREATE INDEX session_expire_hour_idx ON session (expire_hour)' AS mend
  UNION ALL
  SELECT 'session_owner_idx', 'CREATE INDEX session_owner_idx ON session (owner, created_on)'
) AS needed
WHERE needed.name NOT IN (
  SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'session'
)
