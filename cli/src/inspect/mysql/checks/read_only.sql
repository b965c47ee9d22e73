SELECT 'read_only is on: nobody can log in or out' AS reason,
  'connect to the primary; or find out who set it, then SET GLOBAL read_only = 0' AS mend
FROM (SELECT 1) AS one
WHERE CAST(@@global.read_only AS CHAR) NOT IN ('0', 'OFF')
