-- The name of a session on a page, and the time of its last write. Both are null in existing rows, so nothing is
-- rewritten. Older programs neither read nor write these columns. No index contains used_on, so writes stay HOT.
ALTER TABLE session
  ADD COLUMN label text COLLATE pg_catalog."C",
  ADD COLUMN used_on timestamp(2) with time zone;
