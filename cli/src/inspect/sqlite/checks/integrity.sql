SELECT 'the file is damaged: ' || quick_check AS reason, 'restore a backup, or try .recover in SQLite''s shell' AS mend
FROM pragma_quick_check WHERE quick_check <> 'ok' LIMIT 10
