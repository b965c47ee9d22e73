-- InnoDB then refuses each write under READ COMMITTED (error 1665).
SELECT 'binlog_format is STATEMENT: the server refuses the store''s writes' AS reason,
  'SET GLOBAL binlog_format = ROW, also in the server''s configuration' AS mend
FROM (SELECT 1) AS one
WHERE @@global.log_bin = 1 AND @@global.binlog_format = 'STATEMENT'
