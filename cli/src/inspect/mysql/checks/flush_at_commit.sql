SELECT CONCAT('innodb_flush_log_at_trx_commit is ', @@global.innodb_flush_log_at_trx_commit,
    ': a crash undoes the logouts of the last second') AS reason,
  'SET GLOBAL innodb_flush_log_at_trx_commit = 1, also in the server''s configuration' AS mend
FROM (SELECT 1) AS one
WHERE @@global.innodb_flush_log_at_trx_commit NOT IN (1, 3)
UNION ALL
SELECT CONCAT('sync_binlog is ', @@global.sync_binlog, ': a loss of power can undo the last logouts'),
  'SET GLOBAL sync_binlog = 1, also in the server''s configuration'
FROM (SELECT 1) AS one
WHERE @@global.log_bin = 1 AND @@global.sync_binlog <> 1 AND @@global.innodb_flush_log_at_trx_commit <> 3
