"""`records`: the records of past runs."""

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
        str | None,
        typer.Option(help="Only runs of this runbook.", autocompletion=completion.runbooks),
    ] = None,
    target: TargetOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """List records, newest first."""
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
    """Report damaged records, each in one sentence."""
    for sentence in store.broken.values():
        output.note(f"opsnb: {sentence}")


def _result(store: Store, run_id: str) -> RunResult:
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
    """Rebuild every missing or broken result.json from its notebook."""
    store = store_in_force()
    for run_id in store.reindex():
        output.say(f"Rebuilt: {run_id}")
    _name_broken(store)
