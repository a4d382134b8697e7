"""The home page's body: the present state of each target at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from opsnb.model import Status, worst
from opsnb.site.entries import Entry, present
from opsnb.site.html import code, link, moment, pill
from opsnb.timetable.standing import Standing, covering


def home(
    entries: Sequence[Entry], targets: Sequence[str], schedules: Sequence[Standing] = ()
) -> str:
    """Return a card for each target: its newest record of each runbook, the worst first.

    What has been fixed since counts as it was measured last, and its row says by which run.
    `targets` are those of the configuration; a target that only records know is shown as well.
    Each has the `schedules` that check it, by its name, by a glob or by `all`; those that are late
    stand out.
    """
    by_target: dict[str, list[Entry]] = {name: [] for name in targets}
    for entry in present(entries):
        by_target.setdefault(entry.target, []).append(entry)
    cards = [(name, found, covering(schedules, name)) for name, found in by_target.items()]
    ordered = sorted(cards, key=lambda card: (-_rank(card[1], card[2]), card[0]))
    return "\n\n".join(
        _card(name, found, name in targets, checked_by) for name, found, checked_by in ordered
    )


def _rank(entries: Sequence[Entry], schedules: Sequence[Standing]) -> int:
    """Return how much a target needs to be looked at; one that nothing checks in time, too."""
    late = Status.WARN.severity if any(each.is_late for each in schedules) else -1
    return max(_worst(entries).severity if entries else -1, late)


def _worst(entries: Iterable[Entry]) -> Status:
    return worst(entry.status for entry in entries)


def _card(
    name: str, entries: Sequence[Entry], configured: bool, schedules: Sequence[Standing]
) -> str:
    state = pill(_worst(entries)) if entries else '<span class="status">no record</span>'
    note = "" if configured else '<span class="aside">not in the configuration at present</span>'
    rows = "".join(
        _row(entry) for entry in sorted(entries, key=lambda entry: -entry.status.severity)
    )
    return (
        f'<section class="target" id="target-{escape(name)}">'
        f"<header><h2>{escape(name)}</h2>{state}{note}</header>"
        f"{rows or _nothing_yet(name)}{''.join(map(_schedule, schedules))}</section>"
    )


def _schedule(standing: Standing) -> str:
    """Return a line on when a schedule checks the target, or that it is late."""
    bad = standing.is_late or standing.unknown
    label = f"{pill(Status.CRIT if standing.is_late else Status.UNKNOWN)} " if bad else ""
    missed = len(standing.missed)
    more = f" {missed} missed in the last 7 days." if missed and not bad else ""
    sentence = escape(f"Schedule {standing.sentence}{more}")
    state = " late" if standing.is_late else ""
    command = f"<br>Next: {code(standing.command)}" if standing.command else ""
    return f'<p class="schedule{state}">{label}{sentence}{command}</p>'


def _row(entry: Entry) -> str:
    return (
        f'<div class="run">{entry.pill}'
        f'<div class="what">{link("records/" + entry.page, entry.title)}'
        f'<span class="aside">{moment(entry.started)}</span></div>'
        f'<div class="sentence">{_sentence(entry)}</div></div>'
    )


def _sentence(entry: Entry) -> str:
    command = f"<br>Next: {code(entry.next)}" if entry.next else ""
    by = entry.fixed_by or entry.treated_by
    if by is None:
        return f"{escape(entry.sentence)}{command}"
    run = f"{link('records/' + by.page, by.title)}, {moment(by.started)}"
    words = (
        f"Fixed since, measured again by {run}."
        if entry.fixed_by
        else f"Treated since by {run}, not measured again."
    )
    return f"{words} It was: {escape(entry.sentence)}{command}"


def _nothing_yet(name: str) -> str:
    return (
        "<p>No runbook has run against it yet. Type:</p>"
        f"<pre><code>opsnb run health/daily -t {escape(name)}\nopsnb site build</code></pre>"
    )
