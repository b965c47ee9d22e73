SELECT 'the journal mode is ' || journal_mode || ': readers and writers wait for each other' AS reason,
  'PRAGMA journal_mode = WAL' AS mend
FROM pragma_journal_mode WHERE journal_mode <> 'wal'
