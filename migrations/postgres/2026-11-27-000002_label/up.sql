-- What to call a session on a page, and when it was last written. Both are null in the rows that exist, so nothing is
-- rewritten; older programs neither read nor write these columns. No index holds used_on: the writes stay HOT.
ALTER TABLE session
  ADD COLUMN label text COLLATE pg_catalog."C",
  ADD COLUMN used_on timestamp(2) with time zone;
