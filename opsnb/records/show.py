"""Records on a terminal, and as JSON.

Each function returns text or something that rich prints; none prints. A status is always a word,
never only a colour, and everything fits 80 columns.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from opsnb.model import ActionState, Finding, RunResult, Status, now
from opsnb.model import Table as Shown
from opsnb.records.ending import endings, word
from opsnb.records.history import Past
from opsnb.records.members import Member, members
from opsnb.records.members import worst_first as worst_members
from opsnb.records.search import Hit
from opsnb.records.verdict import done
from opsnb.view.findings import is_set_aside, named, no_next, set_aside, share, summary, worst_first
from opsnb.view.formats import ago, counted
from opsnb.view.lines import Labelled, command_line, place
from opsnb.view.plans import STANDS_FOR, action_facts
from opsnb.view.rows import Rows
from opsnb.view.styles import TERMINAL_STYLES

_BESIDE = 9  # columns of a status
_LABEL = 11
_OF_ACTION = 12
_OF_RUN = 13  # as wide as `INTERRUPTED`


def result_as_json(result: RunResult, location: str) -> str:
    """Return `result` as one JSON object, with `location` beside its own keys."""
    return _json({**result.model_dump(mode="json"), "location": location})


def record_list(runs: Iterable[Past], *, at: datetime | None = None) -> RenderableType:
    """Return an entry for each run: when, status, runbook and target, then its sentence.

    Ages are relative to `at`; by default, now.
    """
    at = at or now()
    return Group(*(_entry(run, at, run.sentence) for run in runs))


def hits(found: Iterable[Hit], *, at: datetime | None = None) -> RenderableType:
    """Return an entry for each hit of a search: as in a list, with the text that matches."""
    at = at or now()
    return Group(*(_entry(hit.run, at, hit.snippet, f" by {hit.operator}") for hit in found))


def record(
    result: RunResult,
    location: str,
    tables: Sequence[Shown] = (),
    *,
    at: datetime | None = None,
) -> RenderableType:
    """Return a whole run: its findings, the worst first, where it is, and what to do next.

    `tables` are those that its notebook shows. Print it without cropping.
    """
    findings = _members(result) if result.is_summary else _findings(result.findings)
    return Group(
        _header(result, at or now()),
        Text(),
        *findings,
        *_tables(tables),
        *_actions(result),
        Text(),
        *_kept_late(result),
        place("Notebook  ", f"{location}/record.ipynb" if location else "none"),
        Text(),
        *_conclusion(result),
    )


def failed_member(member: Member) -> RenderableType:
    """Return the line of a target whose run failed."""
    words = f"{member.target}  {member.seconds:.1f} s  {member.sentence}"
    return Labelled(_status(member.status), words, _BESIDE)


def fleet_counts(done: Sequence[Member], running: Collection[str], waiting: int) -> str:
    """Return `12 of 60 done: 2 crit, 10 ok; 4 running, 44 waiting: shop-1, ...`.

    The names of the running targets, the oldest first, are last: a line that is too long is cut.
    """
    ended = summary([member.finding for member in done])
    others = f"{len(running)} running, {waiting} waiting"
    return (
        f"{len(done)} of {len(done) + len(running) + waiting} done"
        + (f": {ended}" if ended else "")
        + (f"; {others}" if running or waiting else "")
        + (f": {', '.join(running)}" if running else "")
    )


def _entry(run: Past, at: datetime, words: str, by: str = "") -> RenderableType:
    head = (
        f"{run.runbook} on {run.target}{by}, {_when(run.started)}, "
        f"{ago((at - run.started).total_seconds())}{', still open' if run.is_open else ''}"
    )
    how = Text(run.outcome.upper(), style=TERMINAL_STYLES[run.status])
    return Group(
        Labelled(how, head, _OF_RUN),
        Labelled(Text(), words, _OF_RUN),
        Labelled(Text(), run.run_id, _OF_RUN, "dim"),
    )


def _header(result: RunResult, at: datetime) -> RenderableType:
    how, style = f"{word(result)}, exit {result.exit_code}", TERMINAL_STYLES[result.status]
    status = Labelled(Text("Status"), how, _LABEL, style)
    facts = (Labelled(Text(label), value, _LABEL) for label, value in _facts(result, at))
    return Group(status, *facts)


def _facts(result: RunResult, at: datetime) -> list[tuple[str, str]]:
    commit = f", commit {result.commit}" if result.commit else ""
    facts = [
        ("Runbook", f"{result.runbook}{commit}"),
        ("Target", result.target),
        ("Started", f"{_when(result.started)}, {ago((at - result.started).total_seconds())}"),
        ("Took", f"{result.seconds:.1f} s"),
        ("By", f"{result.operator} on {result.host}, {result.origin}"),
        ("Run", result.run_id),
    ]
    if result.incident:
        facts.append(("Incident", result.incident))
    if result.parent:
        facts.append(("Continues", result.parent))
    if result.fleet and not result.is_summary:
        facts.append(("Summary", result.fleet))
    given = [name for name in result.parameters if name != "target"]
    if given:
        words = ", ".join(f"{name} = {result.parameters[name]!r}" for name in given)
        facts.append(("Given", words))
    return facts


def _findings(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    if not findings:
        yield Text("No check ran.")
    counts = _once([finding for finding in findings if not finding.superseded])
    rows = [finding for finding in worst_first(counts) if not is_set_aside(finding)]
    width = max((cell_len(finding.name) for finding in rows), default=0)
    for finding in rows:
        label = Text.assemble(_status(finding.status), f"{finding.name:<{width}}")
        yield Labelled(label, named(finding), len(label) + 2)
        for words in filter(None, (share(finding), no_next(finding))):
            yield Labelled(Text(" " * _BESIDE), words, _BESIDE, "dim")
        for remedy in finding.remedies:
            why = f"Next: {remedy.words}" if remedy.words else "Next:"
            yield Labelled(Text(" " * _BESIDE), why, _BESIDE, "dim")
            yield command_line(remedy.command)
    yield from (Text(f"\n{heading}: {causes}") for heading, causes in set_aside(counts))
    yield from _superseded(findings)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings without repetitions: the same measurement with the same status.

    The later one is kept, unless only the earlier one is a cause or names its likeliest cause.
    """
    once: dict[tuple[object, Status], Finding] = {}
    for finding in findings:
        kept = once.get((finding.key, finding.status))
        explains = kept and (kept.explained_by or kept.is_cause)
        if not (explains and not (finding.explained_by or finding.is_cause)):
            once[finding.key, finding.status] = finding
    return list(once.values())


def _superseded(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """Yield the findings before an action that were measured again after it."""
    before = [
        finding
        for finding in findings
        if finding.superseded and finding.status not in (Status.OK, Status.SKIPPED)
    ]
    if before:
        yield Text("\nBefore the action:")
    for finding in before:
        yield Labelled(Text(f"  was {finding.status.upper()}"), named(finding), 15, "dim")


def _conclusion(result: RunResult) -> Iterator[RenderableType]:
    """Yield how the run ended and what to do next."""
    for ending in endings(result):
        style = TERMINAL_STYLES[ending.status]
        label = Text.assemble((ending.word, style))
        yield Labelled(label, ending.sentence, max(len(label) + 2, _BESIDE))
        for step in ending.steps:
            yield Labelled(Text("Next:"), step.why, _BESIDE)
            yield command_line(step.command)


def _members(summed: RunResult) -> Iterator[RenderableType]:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("status", "target", "exit", "record", "finding"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("status", "record"))
    ended = members(summed)
    for member in worst_members(ended):
        # The end of a run's id is enough to show its record.
        record = (member.run_id or "none").rpartition("-")[2]
        code = str(member.exit_code)
        table.add_row(_status(member.status), member.target, code, record, Text(member.sentence))
    yield from (
        table,
        Text(),
        Text(f"{counted(len(ended), 'target')}: {summary(summed.findings)}."),
    )


def _kept_late(result: RunResult) -> list[Text]:
    if result.location:  # the record is still waiting, and the error says so
        return []
    return [Text(f"Kept late: {result.kept_late}")] if result.kept_late else []


def _tables(tables: Sequence[Shown]) -> Iterator[RenderableType]:
    for table in tables:
        yield Text(f"\n{table.title}", style="bold")
        yield Rows(table.rows, table.total)


def _actions(result: RunResult) -> Iterator[RenderableType]:
    for action in result.actions:
        yield from (Text(), Labelled(Text("ACTION"), action.name, _OF_ACTION, "bold"))
        facts = (("", done(action)), ("warning", action.warning), *action_facts(action))
        for label, words in facts:
            if not words:
                continue
            if label == STANDS_FOR and "\n" not in words:
                yield from (Text(label, "dim"), command_line(words, ""))
            else:
                yield Labelled(Text(label, "dim"), words, _OF_ACTION)
        if action.state is ActionState.PLANNED and action.sample:
            sample = Rows(action.sample, max(action.planned, len(action.sample)))
            yield Padding(sample, (0, 0, 0, 2))


def _status(status: Status, width: int = _BESIDE) -> Text:
    return Text(f"{status.value.upper():<{width}}", style=TERMINAL_STYLES[status], end="")


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
