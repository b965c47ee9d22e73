-- A connection over a socket has no port.
SELECT 'this connection goes over the network and is not encrypted' AS reason,
  'name the authority in DATABASE_URL: ?ssl_ca=FILE' AS mend
FROM information_schema.processlist
WHERE id = CONNECTION_ID() AND host LIKE '%:%'
  AND (SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher') = ''
