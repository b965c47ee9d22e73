SELECT CONCAT(variable_value, ' of ', @@global.max_connections, ' connections are used') AS reason,
  'use smaller pools, or raise max_connections' AS mend
FROM information_schema.global_status
WHERE variable_name = 'Threads_connected' AND CAST(variable_value AS SIGNED) >= 0.8 * @@global.max_connections
