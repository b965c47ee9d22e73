SELECT 'this role has no idle_in_transaction_session_timeout: a program that hangs keeps its locks and hinders vacuum'::text
    AS reason,
  'ALTER ROLE … SET idle_in_transaction_session_timeout = ''1min'', for the role of your program'::text AS mend
WHERE pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0'
