"""`records`: what past runs left."""

from __future__ import annotations

from typing import Annotated

import typer

from opsnb.cli import output
from opsnb.cli.application import Json, TargetOption, records_app
from opsnb.cli.context import store_in_force


@records_app.command("list")
def list_records(
    runbook: Annotated[str | None, typer.Option(help="Only of this runbook.")] = None,
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
    for sentence in store.broken.values():
        output.note(f"opsnb: {sentence}")


@records_app.command("show")
def show_record(
    run_id: Annotated[str, typer.Argument(help="A run id, its end, or `latest`.")],
    as_json: Json = False,
) -> None:
    """Show what a run found."""
    from opsnb.records import show as views

    store = store_in_force()
    result = store.result(run_id)
    if as_json:
        output.say(views.result_as_json(result, store.folder(result.run_id)))
    else:
        output.record(store, result)


@records_app.command("reindex")
def reindex_records() -> None:
    """Make every missing or broken result.json again, from its notebook."""
    store = store_in_force()
    for run_id in store.reindex():
        output.say(f"Made again: {run_id}")
    for sentence in store.broken.values():
        output.note(f"opsnb: {sentence}")
