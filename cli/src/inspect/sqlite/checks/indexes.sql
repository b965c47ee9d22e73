SELECT 'the index ' || needed.name || ' is missing' AS reason, needed.mend AS mend
FROM (
  SELECT 'session_expire_hour_idx' AS name,
    'CREATE INDEX session_expire_hour_idx ON session (expire_hour) WHERE expire_hour IS NOT NULL' AS mend
  UNION ALL
  SELECT 'session_owner_idx', 'CREATE INDEX session_owner_idx ON session (owner, created_on) WHERE owner IS NOT NULL'
) AS needed
WHERE needed.name NOT IN (SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'session')
