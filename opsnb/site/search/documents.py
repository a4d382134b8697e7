"""What pagefind is given to index: an HTML document for each record and for each page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Row

from opsnb.model import Status
from opsnb.records.index import Index, statement
from opsnb.site.templates import render

_FOLDER = Path(__file__).parent
_PRINTED = 1200
"""How many characters of what a run printed are searched here; `opsnb records search` has all."""
_PARTS = re.compile(r"[^\W_]+")


def of_records(index: Index, first: str, last: str) -> Iterator[tuple[str, str]]:
    """Yield the run id and the document of each record from the run id `first` to `last`."""
    rows = index.read(statement("documents", _FOLDER), {"first": first, "last": last})
    for row in rows:
        yield row["run_id"], _document(row)


def _document(row: Row) -> str:
    comes_first = row["acted"] or row["error"] or row["status"] == Status.CRIT
    return render(
        "searched",
        run=row,
        rank="first" if comes_first else "other",
        parts=" ".join(_PARTS.findall(row["run_id"])),
        printed=_unsaid(row),
    )


def _unsaid(row: Row) -> str:
    """Return the beginning of what it printed, without lines that repeat what it did or found."""
    said = [line for name in ("done", "found", "messages") for line in _lines(row[name])]
    printed = dict.fromkeys(_lines(row["printed"]))
    left = (line for line in printed if not any(words in line for words in said))
    return "\n".join(left)[:_PRINTED]


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
