-- A value has at most 1 MiB, unless the program says more. Some statements have two values.
SELECT CONCAT('max_allowed_packet is ', @@global.max_allowed_packet, ': the server ends the connection if a value is as large')
    AS reason,
  'SET GLOBAL max_allowed_packet = 16777216, also in the server''s configuration' AS mend
FROM (SELECT 1) AS one
WHERE @@global.max_allowed_packet < 2 * 1048576 + 65536
