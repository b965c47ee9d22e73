SELECT 'idle_transaction_timeout is 0: a program that hangs keeps its locks for hours' AS reason,
  'SET GLOBAL idle_transaction_timeout = 60, also in the server''s configuration' AS mend
FROM (SELECT 1) AS one
WHERE @@global.idle_transaction_timeout = 0 AND @@global.idle_write_transaction_timeout = 0
