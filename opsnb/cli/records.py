"""`records`: the records of past runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

import typer

from opsnb.cli import completion, output
from opsnb.cli.application import Json, RunArgument, records_app
from opsnb.cli.context import config_in_force, store_in_force

if TYPE_CHECKING:
    from rich.console import RenderableType

    from opsnb.model import RunResult
    from opsnb.records.history import Filters, Past
    from opsnb.records.search import Hit
    from opsnb.records.store import Store

RECOVER_WITHIN_S = 60.0
"""How long to wait for another process that recovers records."""
_MOST_BROKEN = 10


class Outcome(StrEnum):
    """How a run ended."""

    OK = "ok"
    WARN = "warn"
    CRIT = "crit"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    LOCKED = "locked"
    BROKE = "broke"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed out"
    NOT_RUN = "not run"


OfRunbook = Annotated[
    str | None,
    typer.Option(
        metavar="RUNBOOK",
        help="Only runs of this runbook; a glob such as `cache/*` works.",
        autocompletion=completion.runbooks,
    ),
]
OnTarget = Annotated[
    str | None,
    typer.Option(
        "-t",
        "--target",
        metavar="TARGET",
        help="Only runs on this target; a glob works.",
        autocompletion=completion.targets,
    ),
]
WithStatus = Annotated[
    list[Outcome] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="Only runs that ended so: ok, warn, crit, unknown, refused, locked, broke, "
        "interrupted, `timed out` or `not run`; repeatable.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="Only runs begun since: `2026-11-23`, `2026-11-23T07:15` (UTC), or `7d` ago.",
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Only runs begun before; a day counts whole.")
]
OfIncident = Annotated[
    str | None, typer.Option(metavar="ID", help="Only runs of this incident; a glob works.")
]
ByOperator = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only runs that this person started.")
]
ByTrigger = Annotated[
    str | None,
    typer.Option(metavar="TRIGGER", help="Only runs begun so: `manual` or `schedule*`."),
]
Acted = Annotated[
    bool | None,
    typer.Option(
        "--acted/--not-acted", help="Only runs in which an action began, or only the others."
    ),
]


def _filters(
    runbook: str | None,
    target: str | None,
    status: list[Outcome] | None,
    since: str | None,
    until: str | None,
    incident: str | None,
    operator: str | None,
    trigger: str | None,
    acted: bool | None,
) -> Filters:
    from opsnb.records.history import Filters, moment

    return Filters(
        runbook=runbook,
        target=target,
        status=tuple(status or ()),
        since=moment(since) if since else None,
        until=moment(until, ends=True) if until else None,
        incident=incident,
        operator=operator,
        trigger=trigger,
        acted=acted,
    )


@records_app.command("list")
def list_records(
    runbook: OfRunbook = None,
    target: OnTarget = None,
    status: WithStatus = None,
    since: Since = None,
    until: Until = None,
    incident: OfIncident = None,
    operator: ByOperator = None,
    trigger: ByTrigger = None,
    acted: Acted = None,
    limit: Annotated[int, typer.Option(min=0, help="At most this many; 0 for all.")] = 20,
    as_json: Json = False,
) -> None:
    """List records, newest first.

    In a pipe, each record is one line: how it ended, its run id, and its worst finding. --json
    prints an array of whole results.
    """
    from opsnb.records import history

    filters = _filters(runbook, target, status, since, until, incident, operator, trigger, acted)
    store = store_in_force()
    if as_json:
        with _progress(store):
            documents = history.documents(store, filters, limit or None)
        output.json_array(documents)
    else:
        with _progress(store):
            runs = history.past(store, filters, limit or None)
        first = next(runs, None)
        if first is None:
            output.say(history.no_records(filters))
        else:
            output.entries(chain([first], runs), _laid_out)
    _name_broken(store)


@records_app.command("search")
def search_records(
    text: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help="Words to find, or a phrase in quotes; common words are ignored.",
        ),
    ],
    runbook: OfRunbook = None,
    target: OnTarget = None,
    status: WithStatus = None,
    since: Since = None,
    until: Until = None,
    incident: OfIncident = None,
    operator: ByOperator = None,
    trigger: ByTrigger = None,
    acted: Acted = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 10,
    as_json: Json = False,
) -> None:
    """Search in what runs printed, found and did.

    Runs that did it come first, then those that were critical about it, then the others. Words
    match in all their forms: "cleared" finds "clear".
    """
    from opsnb.records.search import search

    filters = _filters(runbook, target, status, since, until, incident, operator, trigger, acted)
    store = store_in_force()
    with _progress(store):
        found = search(store, " ".join(text), filters, limit)
    if as_json:
        output.json_document([hit.as_json for hit in found])
    elif found:
        output.entries(found, _hits)
    else:
        output.say("No record matches. Try fewer words, or fewer filters.")
    _name_broken(store)


@records_app.command("show")
def show_record(
    run_id: RunArgument,
    as_json: Json = False,
) -> None:
    """Show what a run found."""
    from opsnb.records import show as views

    store = store_in_force()
    result = result_of(store, run_id)
    if as_json:
        location = result.location or store.folder(result.run_id)
        output.say(views.result_as_json(result, location))
    else:
        output.record(store, result)
    _name_broken(store)


def _laid_out(runs: Sequence[Past]) -> RenderableType:
    from opsnb.records import show as views  # late: rich is for terminals

    return views.record_list(runs)


def _hits(found: Sequence[Hit]) -> RenderableType:
    from opsnb.records import show as views

    return views.hits(found)


@contextmanager
def _progress(store: Store) -> Iterator[None]:
    """Show how far the index of `store` is brought up to date, where that takes long."""
    with output.progress() as (_, show):
        store.index.progress = show
        yield


def _name_broken(store: Store) -> None:
    """Report damaged records, each in one sentence."""
    for sentence in islice(store.broken.values(), _MOST_BROKEN):
        output.note(f"opsnb: {sentence}")
    if (more := len(store.broken) - _MOST_BROKEN) > 0:
        output.note(f"opsnb: {more:,} more records are damaged: opsnb records reindex")


def result_of(store: Store, run_id: str) -> RunResult:
    """Return a result from the store or from the spool, where records wait for the store."""
    from opsnb.records import recovery

    for waiting in recovery.waiting(store):
        if run_id and (waiting.run_id.startswith(run_id) or waiting.run_id.endswith(run_id)):
            return waiting
    return store.result(run_id)


@records_app.command("recover")
def recover_records() -> int:
    """Write records that are waiting: of killed runs, and of runs that the store did not take."""
    from opsnb.errors import RunBroke
    from opsnb.records import recovery, spool
    from opsnb.records.store import Store

    store = Store(config_in_force().store)
    recovered = recovery.recover(store, wait_s=RECOVER_WITHIN_S)
    for run_id in recovered.made:
        output.say(f"Recovered: {run_id}")
    for run_id, why in recovered.waiting.items():
        output.note(f"opsnb: {run_id} is still waiting in {spool.folder()}. {why}")
    for elsewhere, count in recovery.of_other_stores(store).items():
        noun = "record is" if count == 1 else "records are"
        output.note(
            f"opsnb: {count} {noun} waiting for another store: set OPSNB_RECORDS to {elsewhere}, "
            "then run opsnb records recover again."
        )
    if not (recovered.made or recovered.waiting):
        output.say("No records are waiting.")
    return RunBroke.exit_code if recovered.waiting else 0


@records_app.command("reindex")
def reindex_records() -> None:
    """Rebuild the index of the records, and every damaged result.json from its notebook."""
    store = store_in_force()
    with _progress(store):
        rebuilt = store.reindex()
    for run_id in rebuilt:
        output.say(f"Rebuilt: {run_id}")
    _name_broken(store)
