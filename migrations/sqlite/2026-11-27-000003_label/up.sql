-- The name of a session on a page, and the time of its last write. Both are null in existing rows. Older programs
-- neither read nor write these columns.
ALTER TABLE main.session ADD COLUMN label TEXT;
ALTER TABLE main.session ADD COLUMN used_on INTEGER;
