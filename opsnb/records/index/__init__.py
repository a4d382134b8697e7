"""The index of a store: what its records say, in a SQLite file that can be thrown away.

The records are the truth. The index lies in the user's cache folder, `~/.cache/opsnb/records` (0600
in 0700), one file a store and schema. It is brought up to date by what is new, changed or gone, and
made again when it is damaged or of another schema; when it cannot be written, it lies in the folder
for temporary files or in memory. None of that is an error for a reader. Several processes use it at
the same time, and any of them may be killed at any time.

How to read it:

    index = Reader(url).index            # or Index(Place(url))
    index.refresh()                      # lists the store, reads what is new; texts=True for search
    rows = index.read(SQL, {"target": "demo", "since": moment, "names": ["api.health"]})

`sql/schema.sql` is the contract: its tables and columns. Write your SQL in a `.sql` file of your
own package and load it with `statement("name", FOLDER)`. Rules:

- `refresh` first, once for each command or build: a `read` says what was true at that `refresh`.
- Times are UTC text of one width (`2026-11-23T07:15:00.000000+00:00`): compare them as text. A run
  id sorts by time too: page by it.
- `filled(KIND, row)` makes a dataclass of a row, by its columns, with the types of its fields.
- A `read` returns all its rows at once. Ask for the columns that you need; for thousands of rows
  with long texts, page: `WHERE run_id < :last ORDER BY run_id DESC LIMIT 1000`.
- `runs.id` stays the same while the record exists, in one file; store nothing by it. `runs.read_ns`
  grows when a record is read again, so `read_ns > :last` is what changed.
- `refresh(since=..., runbooks=..., target=...)` reads only the records that may match. Others may
  still be missing: give your SQL the same conditions.
- Nobody writes to it but `refresh`.
- In a store behind a URL, a record that has ended is not asked for again: a later change of it
  shows after `opsnb records reindex`.
- `index.broken()` says which records cannot be read; they are not in `runs`.
"""

from opsnb.records.index.database import statement
from opsnb.records.index.index import Index
from opsnb.records.index.typed import filled

__all__ = ["Index", "filled", "statement"]
