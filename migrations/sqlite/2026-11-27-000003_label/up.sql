-- What to call a session on a page, and when it was last written. Both are null in the rows that exist; older programs
-- neither read nor write these columns.
ALTER TABLE main.session ADD COLUMN label TEXT;
ALTER TABLE main.session ADD COLUMN used_on INTEGER;
