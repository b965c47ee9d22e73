SELECT 'no idle_in_transaction_session_timeout: a program that hangs keeps its locks and hinders vacuum'::text AS reason,
  'ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = ''1min'''::text AS mend
WHERE pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0'
