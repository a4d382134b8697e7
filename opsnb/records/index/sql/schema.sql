-- The index of a store. Times are UTC in ISO 8601 with microseconds, so that they sort as text;
-- flags are 0 or 1. A change here is a new index: nothing is migrated.

CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  runbook TEXT NOT NULL,
  title TEXT NOT NULL,
  target TEXT NOT NULL,
  status TEXT NOT NULL,
  outcome TEXT NOT NULL,           -- the status, or how a run without one ended: refused, broke, ...
  exit_code INTEGER NOT NULL,
  open INTEGER NOT NULL,           -- still open in JupyterLab: its record may change
  ended INTEGER NOT NULL,          -- ran to its end, and so did every action that it began
  started TEXT NOT NULL,
  finished TEXT NOT NULL,
  seconds REAL NOT NULL,
  trigger TEXT NOT NULL,
  operator TEXT NOT NULL,
  host TEXT NOT NULL,
  incident TEXT,
  scheduled TEXT,
  parent TEXT,                     -- the run that it continues
  fleet TEXT,                      -- the summary that it belongs to; its own run id if it is one
  is_summary INTEGER NOT NULL,
  acted INTEGER NOT NULL,          -- began an action, so that something may have been changed
  error TEXT,
  sentence TEXT NOT NULL,          -- why it failed, what it did, or its worst finding
  next TEXT NOT NULL,              -- the command that treats its worst finding, or ''
  details TEXT NOT NULL,           -- the error and every finding that is not ok, the worst first
  parameters TEXT NOT NULL,        -- a JSON object
  kept_late TEXT NOT NULL,
  revision TEXT,                   -- the git commit of the runbook
  source_sha256 TEXT NOT NULL,     -- of the runbook's file
  sealed_sha256 TEXT,              -- the record's own seal
  searchable INTEGER NOT NULL,     -- its texts are in `texts`
  size INTEGER NOT NULL,           -- of result.json, in bytes, with mtime_ns and inode: what is
  mtime_ns INTEGER NOT NULL,       -- compared to see that it changed; 0 in a store behind a URL
  inode INTEGER NOT NULL,
  read_ns INTEGER NOT NULL         -- when the record was read, in ns since 1970
);
CREATE INDEX runs_by_target ON runs (target, run_id);
CREATE INDEX runs_by_runbook ON runs (runbook, run_id);

CREATE TABLE findings (
  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,       -- in the record, from 0
  key TEXT NOT NULL,               -- what was measured on which object
  name TEXT NOT NULL,              -- `system.check`
  label TEXT NOT NULL,             -- its title
  status TEXT NOT NULL,
  value REAL,
  unit TEXT NOT NULL,
  warn REAL,
  crit REAL,
  lower_is_worse INTEGER NOT NULL,
  message TEXT NOT NULL,
  at TEXT NOT NULL,                -- when the check began
  counted INTEGER NOT NULL,        -- not measured again after an action
  failure TEXT NOT NULL,           -- the class of the error when nothing was measured
  action TEXT,                     -- the action whose plan or effect it reports
  threshold TEXT,                  -- a JSON object
  remedies TEXT NOT NULL,          -- a JSON array
  evidence TEXT NOT NULL,          -- its rows, a JSON array
  PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE INDEX findings_by_name ON findings (name, run);

CREATE TABLE actions (
  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,              -- `system.action`
  title TEXT NOT NULL,
  state TEXT NOT NULL,
  begun INTEGER NOT NULL,          -- its work began, so that something may have been changed
  planned INTEGER NOT NULL,
  applied INTEGER NOT NULL,
  verified INTEGER,                -- NULL when its effect was not measured
  unit TEXT NOT NULL,
  undo TEXT NOT NULL,
  command TEXT NOT NULL,
  arguments TEXT NOT NULL,         -- a JSON object
  at TEXT,                         -- when its work began
  finished TEXT,
  sentence TEXT NOT NULL,          -- what it would do or did, and how far it came
  PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE INDEX actions_by_name ON actions (name, run);

-- The targets of fleet summaries.
CREATE TABLE members (
  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  target TEXT NOT NULL,
  status TEXT NOT NULL,
  exit_code INTEGER NOT NULL,
  sentence TEXT NOT NULL,
  member_run_id TEXT               -- NULL where the target has no record
);
CREATE INDEX members_by_run ON members (run);

-- Records that cannot be read, and (then they are in `runs` too) those whose links are damaged.
CREATE TABLE broken (
  run_id TEXT PRIMARY KEY,
  sentence TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL
) WITHOUT ROWID;

-- Full text; rowid is runs.id.
CREATE VIRTUAL TABLE texts USING fts5 (
  about,                           -- which run: ids, runbook, target, people, parameters
  done,                            -- what it did
  found,                           -- findings that are not ok
  printed,                         -- what its cells printed
  tokenize = 'porter unicode61 remove_diacritics 2'
);

PRAGMA user_version = 1;
