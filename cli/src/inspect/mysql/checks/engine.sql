SELECT CONCAT('the table ', table_name, ' has the engine ', engine, ', which has no transactions') AS reason,
  CONCAT('ALTER TABLE ', table_name, ' ENGINE = InnoDB') AS mend
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name IN ('session', 'session_owner_lock') AND engine <> 'InnoDB'
