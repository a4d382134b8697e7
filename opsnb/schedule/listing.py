"""The schedules on a terminal and for monitoring: when they run, and which are late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from opsnb.model import Status
from opsnb.records.ending import HOW
from opsnb.timetable.last_run import LastRun
from opsnb.timetable.standing import Standing, moment
from opsnb.view.formats import span
from opsnb.view.lines import command_line
from opsnb.view.styles import TERMINAL_STYLES

_NONE = "There are no schedules. Add a [[schedules]] table to opsnb.toml."
_FAILED = "failed"
"""For a run without a status."""


def table(found: Sequence[Standing]) -> RenderableType:
    """Return the list of schedules: runbook, targets, times, and how the last run ended."""
    if not found:
        return Text(_NONE)
    columns = ("schedule", "runbook", "targets", "due", "next", "last run")
    shown = _table(*columns, more=("next", "last run"))
    for each in found:
        shown.add_row(
            each.schedule.name,
            each.schedule.runbook + (" (acts)" if each.schedule.apply else ""),
            ", ".join(each.schedule.targets),
            each.words,
            moment(each.next[0]) if each.next else "never",
            _ended(each.last),
        )
    return shown


def status(found: Sequence[Standing]) -> RenderableType:
    """Return the state of each schedule, then a sentence on each that is late."""
    if not found:
        return Text(_NONE)
    shown = _table("schedule", "last run", "next", "state", "missed")
    for each in found:
        shown.add_row(
            each.schedule.name,
            _ended(each.last),
            moment(each.next[0]) if each.next else "never",
            _state(each),
            str(len(each.missed)) if each.missed else "none",
        )
    return Group(shown, *(line for each in found for line in _about(each)))


def _about(standing: Standing) -> Iterator[Text]:
    """Yield a sentence on a schedule that is late, unknown or has missed runs."""
    if standing.is_late or standing.unknown:
        style = _style(Status.CRIT if standing.is_late else Status.UNKNOWN)
        yield Text(f"\n{standing.sentence}", style=style)
    elif standing.missed:
        yield Text(f"\n{_missed(standing)}")
    if standing.command:
        yield command_line(standing.command)


def exit_code(found: Iterable[Standing]) -> int:
    """Return 2 if a schedule is late, 3 if that is unknown or there is none, else 0."""
    found = list(found)
    if any(each.is_late for each in found):
        return Status.CRIT.exit_code
    known = bool(found) and not any(each.unknown for each in found)
    return (Status.OK if known else Status.UNKNOWN).exit_code


def plugin_line(found: Sequence[Standing]) -> str:
    """Return one line in the format of monitoring plugins: status, sentence, numbers."""
    late = sorted((each for each in found if each.is_late), key=lambda each: -each.late_by)
    unknown = [each for each in found if each.unknown]
    missed = sum(len(each.missed) for each in found)
    numbers = f"late={len(late)};;0;0 missed={missed};;;0 schedules={len(found)};;;0"
    if late:
        words = "CRITICAL: " + " ".join(map(_in_full, late))
    elif unknown:
        words = "UNKNOWN: " + " ".join(each.sentence for each in unknown)
    elif not found:
        words = "UNKNOWN: there are no schedules to check"
    else:
        plural = "schedule is" if len(found) == 1 else "schedules are"
        words = f"OK: {len(found)} {plural} on time"
    # A | would begin the numbers.
    return f"SCHEDULES {' '.join(words.replace('|', '/').split())} | {numbers}"


def _in_full(standing: Standing) -> str:
    command = f" Next: {standing.command}" if standing.command else ""
    return f"{standing.sentence}{command}"


def _style(status: Status) -> str:
    return TERMINAL_STYLES[status]


def _table(*columns: str, more: Sequence[str] = ()) -> Table:
    """Return a table of `columns`; long ones, and `more`, wrap."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        wraps = column in ("targets", "due", *more)
        shown.add_column(column, no_wrap=not wraps, overflow="fold", min_width=len("targets"))
    return shown


def _state(standing: Standing) -> Text:
    if standing.unknown:
        return Text("unknown", style=_style(Status.UNKNOWN))
    if standing.is_late:
        return Text(f"LATE {span(standing.late_by)}", style=_style(Status.CRIT))
    return Text("running" if standing.running else "on time")


def _missed(standing: Standing) -> str:
    times = standing.missed
    last = f"the last {moment(times[-1])}"
    return f"{standing.schedule.name} missed {len(times)} runs, {last}; it has run since."


def _ended(last: LastRun | None) -> Text:
    if last is None:
        return Text("never")
    if not last.status and last.exit_code is None:
        return Text(f"began {moment(last.started)}")
    words = last.status or _FAILED
    if last.status in ("", Status.UNKNOWN) and last.exit_code in HOW:
        words = HOW[last.exit_code].lower()  # such as timed out, rather than unknown
    style = _style(Status(last.status) if last.status else Status.UNKNOWN)
    return Text(f"{words}, {moment(last.started)}", style=style)
