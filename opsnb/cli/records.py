"""`records`: what past runs left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opsnb.cli import completion, output
from opsnb.cli.application import Json, RunArgument, TargetOption, records_app
from opsnb.cli.context import config_in_force, store_in_force

if TYPE_CHECKING:
    from opsnb.model import RunResult
    from opsnb.records.store import Store

RECOVER_WITHIN_S = 60.0
"""How long to wait for another process that recovers records."""


@records_app.command("list")
def list_records(
    runbook: Annotated[
        str | None, typer.Option(help="Only of this runbook.", autocompletion=completion.runbooks)
    ] = None,
    target: TargetOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List records, the newest first."""
    from opsnb.records import show as views

    store = store_in_force()
    results = list(store.results(runbook=runbook, target=target, limit=limit))
    if as_json:
        output.say(views.as_json(results))
    else:
        output.render(views.record_list(results))
    _name_broken(store)


@records_app.command("show")
def show_record(
    run_id: RunArgument,
    as_json: Json = False,
) -> None:
    """Show what a run found."""
    from opsnb.records import show as views

    store = store_in_force()
    result = _result(store, run_id)
    if as_json:
        location = result.location or store.folder(result.run_id)
        output.say(views.result_as_json(result, location))
    else:
        output.record(store, result)
    _name_broken(store)


def _name_broken(store: Store) -> None:
    """Name the records that are damaged, each in one sentence."""
    for sentence in store.broken.values():
        output.note(f"opsnb: {sentence}")


def _result(store: Store, run_id: str) -> RunResult:
    """Return a result from the store, or that of a run whose record still waits for it."""
    from opsnb.records import recovery

    for waiting in recovery.waiting(store):
        if run_id and (waiting.run_id.startswith(run_id) or waiting.run_id.endswith(run_id)):
            return waiting
    return store.result(run_id)


@records_app.command("recover")
def recover_records() -> int:
    """Write the records that could not be written as their runs ended, or that kills left."""
    from opsnb.errors import RunBroke
    from opsnb.records import recovery, spool
    from opsnb.records.store import Store

    store = Store(config_in_force().store)
    recovered = recovery.recover(store, wait_s=RECOVER_WITHIN_S)
    for run_id in recovered.made:
        output.say(f"Recovered: {run_id}")
    for run_id, why in recovered.waiting.items():
        output.note(f"opsnb: {run_id} still waits in {spool.folder()}. {why}")
    for elsewhere, count in recovery.of_other_stores(store).items():
        noun = "record waits" if count == 1 else "records wait"
        output.note(
            f"opsnb: {count} {noun} for another store: set OPSNB_RECORDS to {elsewhere}, then run "
            "opsnb records recover again."
        )
    if not (recovered.made or recovered.waiting):
        output.say("No record waits to be recovered.")
    return RunBroke.exit_code if recovered.waiting else 0


@records_app.command("reindex")
def reindex_records() -> None:
    """Make every missing or broken result.json again, from its notebook."""
    store = store_in_force()
    for run_id in store.reindex():
        output.say(f"Made again: {run_id}")
    _name_broken(store)
