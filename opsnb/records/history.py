"""Past runs by what is asked for, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opsnb.errors import UsageError
from opsnb.model import Status, now
from opsnb.params.spans import span_s
from opsnb.records import stored
from opsnb.records.index import filled, statement
from opsnb.records.listing import stamp
from opsnb.records.reader import Reader
from opsnb.view.terminal import one_line

SQL = Path(__file__).parent / "sql"
_PAGE = 1000  # records whose entries are in memory at once
_LATER = "~"  # sorts behind every run id
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which runs are asked for: those that fit all. Names may be globs, such as `cache/*`."""

    runbook: str | None = None
    target: str | None = None
    status: tuple[str, ...] = ()
    """Statuses, or outcomes of runs without one such as `refused`; any when it is empty."""
    since: datetime | None = None
    until: datetime | None = None
    """Runs that began before this."""
    incident: str | None = None
    operator: str | None = None
    trigger: str | None = None
    acted: bool | None = None
    """Whether an action began, so that something may have been changed; None for both."""

    def bound(self) -> dict[str, Any]:
        """Return the parameters of list.sql, without those of its page."""
        return {
            "since": stamp(self.since),
            "before": stamp(self.until) or _LATER,
            "runbook": self.runbook,
            "target": self.target,
            "status": self.status or None,
            "incident": self.incident,
            "operator": self.operator,
            "trigger": self.trigger,
            "acted": self.acted,
        }


def moment(text: str, *, ends: bool = False) -> datetime:
    """Return the moment that `text` means: `2026-11-23`, `2026-11-23 07:15`, or `7d` ago.

    Without a time zone it is UTC. A day means its beginning, or where it `ends`. Raises UsageError.
    """
    length = span_s(text)
    try:
        if length is not None:
            return now() - timedelta(seconds=length)
        read = datetime.fromisoformat(text.strip())
        read = read if read.tzinfo else read.replace(tzinfo=UTC)
        return read + timedelta(days=1) if ends and _DAY.fullmatch(text.strip()) else read
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text[:60]!r} is not a time. Write a day or a time in UTC, such as 2026-11-23 or "
            "2026-11-23T07:15, or how long ago, such as 36h or 7d."
        ) from None


@dataclass(frozen=True)
class Past:
    """A past run, as lists show it."""

    run_id: str
    runbook: str
    target: str
    status: Status
    outcome: str
    """Its status, or how it ended without one."""
    is_open: bool
    started: datetime
    sentence: str

    @property
    def line(self) -> str:
        """It on one line, for pipes; its run id says when, what and where."""
        return one_line(f"{self.outcome.upper():<11}  {self.run_id}  {self.sentence}")


def no_records(filters: Filters) -> str:
    """Return what stands in place of an empty list."""
    if filters == Filters():
        return "No records yet. Make the first one with: opsnb run health/daily"
    return "No record fits. Leave out a filter, or go further back with --since."


def past(reader: Reader, filters: Filters, limit: int | None = None) -> Iterator[Past]:
    """Yield the runs that fit, the newest first, at most `limit` of them.

    Records that cannot be read, of runs no older than the last one, are noted in `reader.broken`.
    """
    return (filled(Past, row) for row in _rows(reader, filters, limit))


def documents(reader: Reader, filters: Filters, limit: int | None = None) -> Iterator[str]:
    """Yield the `result.json` of the runs that fit, as `past` does."""
    texts = (reader.document(row["run_id"], row["size"]) for row in _rows(reader, filters, limit))
    return filter(None, texts)


def _rows(reader: Reader, filters: Filters, limit: int | None) -> Iterator[Any]:
    reader.index.refresh(since=filters.since)
    return _pages(reader, filters, limit)


def _pages(reader: Reader, filters: Filters, limit: int | None) -> Iterator[Any]:
    asked, left = filters.bound(), limit
    while left is None or left > 0:
        page = _PAGE if left is None else min(left, _PAGE)
        found = reader.index.read(statement("list", SQL), {**asked, "page": page})
        yield from found
        is_last = len(found) < page
        oldest = asked["since"] if is_last else found[-1]["run_id"]
        _note_broken(reader, oldest, asked["before"])
        if is_last:
            return
        asked["before"] = oldest
        left = None if left is None else left - page


def _note_broken(reader: Reader, oldest: str, before: str) -> None:
    reader.broken |= {
        name: sentence
        for name, sentence in reader.index.broken().items()
        if not stored.RUN_ID.fullmatch(name) or oldest <= name < before
    }
