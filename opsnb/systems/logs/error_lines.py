"""The service's logs: errors within the last hours, over rotated and packed files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured, TimedOut
from opsnb.model import Finding, Row
from opsnb.redaction import outside
from opsnb.redaction.outside import pattern
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.logs.entries import ErrorEntry, Finder
from opsnb.systems.logs.settings import Logs
from opsnb.systems.logs.stamps import Clock
from opsnb.systems.logs.window import WindowReader
from opsnb.view.formats import span

SYSTEM = "logs"
_MOST_PATTERNS = 10
_SAMPLE_LENGTH = 300
_QUOTE_LENGTH = 120


@dataclass(frozen=True)
class Window:
    """The errors in a target's logs within the last hours."""

    clock: Clock
    """The host's, at the moment of reading."""
    since: float
    """Where it begins, in seconds since 1970."""
    errors: list[tuple[str, ErrorEntry]]
    """The errors of all logs, each with its log."""
    marked: list[tuple[float, str]]
    """When lines were written that were looked for, and the lines."""
    notes: list[str]
    """Remarks on the logs."""


def read(target: Target, hours: float, marks: re.Pattern[str] | None = None) -> Window:
    """Return the errors of the last `hours`, and the lines of any level in which `marks` is found.

    What could not be read is reported as evidence. Raises BadAnswer when no log can be read.
    """
    if not Logs.of(target).files:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no logs in opsnb.toml.")
    reader = WindowReader.back(host_of(target, SYSTEM), hours * 3600)
    found: list[tuple[str, ErrorEntry]] = []
    marked: list[tuple[float, str]] = []
    unread: list[str] = []
    # The names of grep's language, which has no groups without a number and no word borders.
    extra = marks.pattern.replace("(?:", "(").replace(r"\b", "") if marks else ""
    paths = reader.files.paths(Logs.of(target).files)
    for path in paths:
        finder = Finder(reader.clock, reader.since, marks)
        try:
            found += [(path, entry) for entry in finder.errors(reader.signs(path, extra))]
        except (BadAnswer, TimedOut) as error:
            unread.append(str(error))
        marked += finder.marked
    fix = f"Correct `logs` of target {target.name}, or let this user read the file."
    if len(unread) == len(paths):
        raise BadAnswer(SYSTEM, " ".join([*unread, fix]))
    for each in unread:
        evidence.partial(f"{each.rstrip('.')}; {fix[0].lower()}{fix[1:].rstrip('.')}")
    return Window(reader.clock, reader.since, found, marked, _notes(reader))


def _notes(reader: WindowReader) -> list[str]:
    share = reader.understood.share
    if share == 1:
        return reader.files.notes
    return [
        *reader.files.notes,
        f"{share:.0%} of the lines sampled have a time that is understood.",
    ]


@check(needs=(HOST,))
def errors(target: Target, hours: float = 1) -> Finding:
    """Errors in the log.

    Counts, over all logs of the target, the entries of the last `hours` whose level is error or
    worse, or which have no level and speak of an error. The limit is the handbook's for one
    hour, whatever `hours` is. Raises BadAnswer when no log can be read.
    """
    seen = read(target, hours)
    rows = groups(seen.errors)
    message = " ".join([sentence(rows, len(seen.errors), hours), *seen.notes])
    return Finding.measured(
        len(seen.errors), target.threshold("log_errors"), message, rows=rows[:_MOST_PATTERNS]
    )


def groups(found: Iterable[tuple[str, ErrorEntry]]) -> list[Row]:
    """Return a row for each pattern of errors, the latest first."""
    alike: dict[str, list[tuple[str, ErrorEntry]]] = defaultdict(list)
    for path, entry in found:
        alike[pattern(entry.message)].append((path, entry))
    rows = []
    for kind, group in alike.items():
        group.sort(key=lambda item: item[1].at)
        path, newest = group[-1]
        rows.append(
            {
                "pattern": kind,
                "count": len(group),
                "first": iso(group[0][1].at),
                "last": iso(newest.at),
                "sample": outside.head(newest.message, _SAMPLE_LENGTH),
                "log": path,
            }
        )
    return sorted(rows, key=lambda row: str(row["last"]), reverse=True)


def sentence(rows: list[Row], count: int, hours: float, *, since: str = "") -> str:
    """Return one sentence on the `groups` of `count` errors.

    `since` says where the window began, in place of its length.
    """
    when = f"since {since}" if since else f"in {_last(hours)}"
    if not rows:
        return f"No error lines {when}."
    most = max(rows, key=lambda row: int(row["count"]))
    quote = outside.head(str(most["sample"]), _QUOTE_LENGTH).rstrip(".")
    if count == 1:
        return f"1 error line {when}: {quote}."
    return f"{count} error lines {when}, {most['count']} of them like: {quote}."


def _last(hours: float) -> str:
    return "the last hour" if hours == 1 else f"the last {span(hours * 3600)}"


def iso(at: float) -> str:
    """Return a moment, in seconds since 1970, as text in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
