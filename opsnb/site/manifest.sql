-- What the site consists of: each file, the part of the site that it belongs to, and the digest of
-- what it was made from. `parts` has that digest and the number of files of what is built as a whole.
CREATE TABLE IF NOT EXISTS files (
  path TEXT PRIMARY KEY,
  part TEXT NOT NULL,
  made_from TEXT NOT NULL,
  size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_part ON files (part);
CREATE TABLE IF NOT EXISTS parts (
  part TEXT PRIMARY KEY,
  made_from TEXT NOT NULL,
  files INTEGER NOT NULL
) WITHOUT ROWID;
