-- What `records verify` reads, in a file of its own that is removed at the end. Times are seconds
-- since 1970.

CREATE TABLE records (
  run_id TEXT PRIMARY KEY,
  state TEXT NOT NULL,             -- sealed, changed, damaged, unsealed, or open
  sha256 TEXT,                     -- in its seal
  at REAL,                         -- when it was sealed
  began REAL,                      -- when its run began, by its run id
  content TEXT NOT NULL,           -- the sha256 of its files as they are
  sentence TEXT NOT NULL           -- what is wrong with it by itself, or ''
) WITHOUT ROWID;
CREATE INDEX records_by_time ON records (at) WHERE state = 'sealed';

-- Who names whom. A head that nobody names yet is named by '', its marker.
CREATE TABLE named (
  run_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  by TEXT NOT NULL,
  at REAL                          -- when that one was sealed
);
CREATE INDEX named_by_run ON named (run_id);

CREATE TABLE removed (
  run_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  at REAL,                         -- when it was sealed; NULL if that is not known any more
  PRIMARY KEY (run_id, sha256)
) WITHOUT ROWID;

-- Records that are not as they were written, as somebody has accepted them.
CREATE TABLE accepted (
  run_id TEXT NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (run_id, content)
) WITHOUT ROWID;

-- When those were sealed that name a record which is gone or not as it was: what that one named is
-- not known any more.
CREATE TABLE lost (at REAL PRIMARY KEY) WITHOUT ROWID;
