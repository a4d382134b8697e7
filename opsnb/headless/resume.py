"""Continue a run that did not run to its end: same notebook, parameters and target."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from opsnb import catalog
from opsnb.actions.journal import same_action
from opsnb.catalog import RunbookInfo
from opsnb.config.file import Config
from opsnb.errors import UsageError
from opsnb.headless.order import Order
from opsnb.model import ActionRecord, ActionState, RunResult
from opsnb.records import recovery
from opsnb.records.recovery import reap, staged_results
from opsnb.records.staging import is_going_on
from opsnb.records.store import Store
from opsnb.redaction import MASK
from opsnb.view import commands


def order(
    run_id: str, config: Config, *, runbook: str | None = None, allow_changed: bool = False
) -> Order:
    """Return the order that continues a run, with the actions of that run and those before it.

    `run_id` as for `Store.result`; `runbook`, if set, must be that of the run. A notebook that has
    changed is refused unless `allow_changed`. Raises UsageError when the run ran to its end, is in
    progress, was already continued, or cannot be repeated.
    """
    store = Store(config.store)
    reap(store)
    former = _result(store, run_id)
    _demand_unfinished(store, former)
    info = catalog.runbook(former.runbook)
    if runbook not in (None, info.id):
        raise UsageError(
            f"{former.run_id} is a run of {info.id}, not of {runbook}. Leave out the runbook."
        )
    if not allow_changed:
        _demand_unchanged(info, former)
    given = _parameters(former)
    return Order(
        info,
        config.target(former.target),
        # Checked, but passed on unchanged: 24 must not become 24.0, which is another value.
        info.validate(given) | given,
        incident=former.incident,
        resumes=former.model_copy(update={"actions": merged(_chain(store, former))}),
    )


def merged(chain: Sequence[RunResult]) -> list[ActionRecord]:
    """Return the latest state of each action in a chain of runs, oldest first.

    A run that did not reach an action, or only verified it, does not change its state. `continues`
    of each names the run of its journal.
    """
    known: dict[tuple[object, ...], ActionRecord] = {}
    for result in chain:
        repeats: Counter[tuple[str, ...]] = Counter()
        for action in result.actions:
            which = same_action(action)
            key = (*which, repeats[which])
            repeats[which] += 1
            before = known.get(key)
            if before is None or (action.begun and before.state is not ActionState.APPLIED):
                known[key] = action.model_copy(update={"continues": result.run_id})
    return list(known.values())


def _result(store: Store, run_id: str) -> RunResult:
    try:
        return store.result(run_id)
    except UsageError:
        for waits in recovery.waiting(store):
            if run_id and (waits.run_id.startswith(run_id) or waits.run_id.endswith(run_id)):
                raise UsageError(
                    f"The record of {waits.run_id} is waiting in {waits.location}. "
                    f"{waits.kept_late} Then run: opsnb records recover"
                ) from None
        if is_going_on(run_id):
            raise UsageError(
                f"Run {run_id} is in progress: its kernel is still running or ending. Wait for it "
                "to end, then run this command again."
            ) from None
        raise


def _demand_unfinished(store: Store, former: RunResult) -> None:
    if former.is_summary:
        raise UsageError(
            f"{former.run_id} is the summary of several targets. Continue one of their runs, or "
            "repeat those that failed: "
            + commands.line("run", former.runbook, "--failed-of", former.run_id)
        )
    if former.open:
        raise UsageError(
            f"{former.run_id} is still open in JupyterLab. Continue it there, or close it."
        )
    if former.ended:
        raise UsageError(
            f"{former.run_id} ran to its end, so there is nothing to continue. "
            f"Run it again: {_again(former)}"
        )
    demand_not_continued(store, former)


def _demand_unchanged(info: RunbookInfo, former: RunResult) -> None:
    if hashlib.sha256(info.path.read_bytes()).hexdigest() != former.runbook_sha256:
        raise UsageError(
            f"{info.id} has changed since {former.run_id} ran it. Check what changed: if its "
            "steps are the same, add --allow-changed, else run it again."
        )


def _parameters(former: RunResult) -> dict[str, Any]:
    """Return the parameters of `former`. Raises UsageError if one was kept without its secret."""
    parameters = dict(former.parameters)
    if "target" in parameters:
        parameters["target"] = former.target
    for name, value in parameters.items():
        if MASK in json.dumps(value, default=str):
            raise UsageError(
                f"{former.run_id} cannot be continued: parameter {name} was kept without the "
                f"secret in it. Run it again: {_again(former)}"
            )
    return parameters


def _again(former: RunResult) -> str:
    """Return the command that repeats a run exactly: what it was to apply is applied again."""
    apply, confirm = (former.parameters.get(name) for name in ("apply", "confirm"))
    command = catalog.again(
        former.runbook, former.target, former.parameters, apply=bool(apply), confirm=confirm or ""
    )
    return commands.noted(command)


def _chain(store: Store, former: RunResult) -> list[RunResult]:
    """Return `former` and the runs that it continued, oldest first."""
    chain = [former]
    while parent := chain[0].parent:
        if not store.has(parent):
            raise UsageError(
                f"{chain[0].run_id} continued {parent}, whose record is gone, so what that run did "
                f"is unknown. Check the target, then run it again: {_again(former)}"
            )
        chain.insert(0, store.result(parent))
    return chain


def demand_not_continued(store: Store, former: RunResult) -> None:
    """Raise UsageError when another run has continued `former`."""
    # Not only since it began: the clock may have been set back.
    for child in chain(staged_results(store), store.continued_by(former)):
        if child.parent == former.run_id:
            raise UsageError(
                f"{former.run_id} was continued by {child.run_id}"
                + (
                    ", which ran to its end, so there is nothing to continue."
                    if child.ended
                    else f". Continue that one: {commands.line('run', '--resume', child.run_id)}"
                )
            )
