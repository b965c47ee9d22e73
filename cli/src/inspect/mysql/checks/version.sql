SELECT CONCAT('this server is ', VERSION(), ', and the store is made for MariaDB from 10.6 on') AS reason,
  'use a newer MariaDB' AS mend
FROM (
  SELECT CAST(SUBSTRING_INDEX(VERSION(), '.', 1) AS SIGNED) * 100
    + CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(VERSION(), '.', 2), '.', -1) AS SIGNED) AS number
) AS version
WHERE number < 1006 OR VERSION() NOT LIKE '%MariaDB%'
