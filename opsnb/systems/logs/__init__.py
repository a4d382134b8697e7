"""The service's logs: errors within the last hours, over rotated and packed files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from opsnb.check import check
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Finding, Row, Status, worst
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import host_of
from opsnb.systems.logs.files import WindowReader
from opsnb.systems.logs.lines import Clock, ErrorEntry, errors_in, pattern
from opsnb.target import Target

SYSTEM = "logs"
_MOST_PATTERNS = 10
_SAMPLE_LENGTH = 300
_QUOTE_LENGTH = 120


@check(needs=(HOST,))
def errors(target: Target, hours: float = 1) -> Finding:
    """Errors in the log.

    Counts, over all logs of the target, the entries of the last `hours` whose level is error or
    worse, or which have no level and the word error in them. The limit is the handbook's for one
    hour, whatever `hours` is. Raises BadAnswer when no log can be read.
    """
    if not target.logs:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no logs in opsnb.toml.")
    host = host_of(target, SYSTEM)
    moment, zone = host.clock()
    clock = Clock(moment.timestamp(), zone)
    since = clock.now - hours * 3600
    reader = WindowReader(host, clock, since)
    found: list[tuple[str, ErrorEntry]] = []
    unread: list[str] = []
    for path in target.logs:
        try:
            lines = reader.lines(path)
        except BadAnswer as error:
            unread.append(str(error))
        else:
            found += [(path, entry) for entry in errors_in(lines, clock, since)]
    if unread:
        unread.append(f"Correct `logs` of target {target.name}, or let this user read the file.")
    if len(unread) > len(target.logs):
        raise BadAnswer(SYSTEM, " ".join(unread))
    rows = _rows(found)
    message = " ".join([_sentence(rows, len(found), hours), *unread, *reader.notes])
    finding = Finding.measured(
        len(found), target.threshold("log_errors"), message, rows=rows[:_MOST_PATTERNS]
    )
    if unread:
        finding.status = worst([finding.status, Status.UNKNOWN])
    return finding


def _rows(found: Iterable[tuple[str, ErrorEntry]]) -> list[Row]:
    """Return a row for each pattern, the one seen last on top."""
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
                "first": _iso(group[0][1].at),
                "last": _iso(newest.at),
                "sample": newest.message[:_SAMPLE_LENGTH],
                "log": path,
            }
        )
    return sorted(rows, key=lambda row: str(row["last"]), reverse=True)


def _sentence(rows: list[Row], count: int, hours: float) -> str:
    span = _span(hours)
    if not rows:
        return f"No error lines in {span}."
    most = max(rows, key=lambda row: int(row["count"]))
    quote = str(most["sample"])[:_QUOTE_LENGTH].rstrip(".")
    if count == 1:
        return f"1 error line in {span}: {quote}."
    return f"{count} error lines in {span}, {most['count']} of them like: {quote}."


def _span(hours: float) -> str:
    if hours == 1:
        return "the last hour"
    return f"the last {hours:g} hours" if hours > 1 else f"the last {hours * 60:g} minutes"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
