"""`run`: one runbook, headless, on one target or several."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from signal import Signals
from typing import TYPE_CHECKING, Annotated

import typer

from opsnb import catalog
from opsnb.cli import completion, output
from opsnb.cli.application import Json, ParameterOptions, TargetOptions, app
from opsnb.cli.context import config_in_force, given_parameters
from opsnb.errors import UsageError
from opsnb.machine import interrupts
from opsnb.view import commands, terminal

if TYPE_CHECKING:
    from opsnb.config.file import Config
    from opsnb.headless.fleet import State
    from opsnb.headless.order import Order
    from opsnb.model import RunResult


_LONGEST_ID = 100


def _incident(given: str | None) -> str | None:
    """Return the id of an incident, which the commands that this run prints then name too.

    Raises UsageError when it is no word.
    """
    if not given:
        return None
    if len(given) > _LONGEST_ID or given.split() != [given] or terminal.HIDDEN.search(given):
        raise UsageError(
            f"--incident takes one word of up to {_LONGEST_ID} characters, such as inc-42."
        )
    os.environ[commands.INCIDENT] = given
    return given


@app.command()
def run(
    runbook: Annotated[
        str | None,
        typer.Argument(
            help="A runbook id; list them with `opsnb list`.", autocompletion=completion.runbooks
        ),
    ] = None,
    target: TargetOptions = None,
    parameter: ParameterOptions = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Apply the plan; without it, a dry run.")
    ] = False,
    confirm: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="The name of a protected target; repeatable."),
    ] = None,
    incident: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            envvar=commands.INCIDENT,
            callback=_incident,
            help="Keep the record as one of this incident.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1, help="Stop the whole run after this time."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Wait at most this long for a locked target."),
    ] = None,
    cold: Annotated[
        bool, typer.Option("--cold", help="Start a stock kernel, not a preloaded one.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Targets at a time; by default 2 per processor."),
    ] = None,
    failed_of: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID",
            autocompletion=completion.run_ids,
            help="Run only the targets that failed in that run.",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID",
            autocompletion=completion.run_ids,
            help="Continue that run without repeating what it applied.",
        ),
    ] = None,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Continue even if the runbook has changed.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Run a runbook and keep its record; the exit code is that of the worst finding."""
    if resume is not None:
        if target or parameter or apply or confirm or failed_of:
            raise UsageError(
                "--resume takes target and parameters from the run that it continues. Leave out "
                "-t, -p, --apply, --confirm and --failed-of."
            )
        return _resume(resume, runbook, allow_changed, incident, timeout, wait, cold, as_json)
    if runbook is None:
        raise UsageError("Name a runbook. List them with: opsnb list")
    info = catalog.runbook(runbook)
    given = given_parameters(info, parameter or (), target or (), apply, confirm or ())
    info.check(given)  # an unusable parameter is refused before anything else is read
    config = config_in_force()
    names = config.matching(target or ())
    summary = None
    if failed_of is not None:
        if target:
            raise UsageError("--failed-of selects the targets. Leave out -t.")
        from opsnb.headless import fleet
        from opsnb.records.store import Store

        summary = fleet.summary(Store(config.store), failed_of)
        names = fleet.failed(summary)
        given = {"target": names[0]} | fleet.parameters(summary, info, given)
    values = info.validate(given)
    values["target"] = values.get("target") or config.only
    several = summary is not None or names != (target or [])[:1]
    from opsnb.config.target import stand_in

    chosen = stand_in(target or names) if several else config.target(values["target"])
    with interrupts.noted() as stopped:
        # Imported here: a refusal must not wait for papermill.
        from opsnb.headless.order import Order

        order = Order(
            info,
            chosen,
            values,
            timeout,
            incident=incident,
            resumes=summary,
            cold=cold,
            wait_s=wait,
        )
        if several:
            result = _run_several(order, names, config, stopped, confirm or (), jobs)
        else:
            result = _run_one(order, config, stopped)
        # More signals change nothing: the run has ended and has its record.
        _notify(result, config)
        return output.run_result(result, config, as_json)


def _notify(result: RunResult, config: Config) -> None:
    """Notify the channels that want runs by hand."""
    if not any(channel.manual for channel in config.notify):
        return
    from opsnb.notify import dispatch
    from opsnb.records.store import Store
    from opsnb.timetable.times import local_now

    store = Store(config.store)
    for line in dispatch.after_run(result, config, store, schedule="", at=local_now()):
        output.note(line)


def _resume(
    run_id: str,
    runbook: str | None,
    allow_changed: bool,
    incident: str | None,
    timeout: float | None,
    wait: float | None,
    cold: bool,
    as_json: bool,
) -> int:
    config = config_in_force()
    with interrupts.noted() as stopped:
        from dataclasses import replace

        from opsnb.headless import resume

        order = resume.order(run_id, config, runbook=runbook, allow_changed=allow_changed)
        incident = _incident(order.incident) or incident
        order = replace(order, incident=incident, timeout_s=timeout, wait_s=wait, cold=cold)
        result = _run_one(order, config, stopped)
        _notify(result, config)
        return output.run_result(result, config, as_json)


def _run_one(order: Order, config: Config, stopped: Sequence[Signals]) -> RunResult:
    from dataclasses import replace

    from opsnb.cli import live
    from opsnb.headless.run import run as run_one

    what = f"{order.runbook.id} on {order.target.name}"
    with live.shown(what, order.wait_s) as spectator:
        return run_one(replace(order, spectator=spectator), config, stopped)


def _run_several(
    order: Order,
    targets: Sequence[str],
    config: Config,
    stopped: Sequence[Signals],
    confirmed: Sequence[str],
    jobs: int | None,
) -> RunResult:
    from opsnb.headless import fleet

    with _shown() as progress:
        return fleet.run(
            order, targets, config, stopped, confirmed=confirmed, jobs=jobs, progress=progress
        )


@contextmanager
def _shown() -> Iterator[Callable[[State], None]]:
    """Yield a function that shows the progress of a run on several targets.

    Each target that failed gets a line; the counts are the last line.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from opsnb.records import show as views

    console = terminal.console(stderr=True)
    status = terminal.StatusLine(console)
    written = 0

    def show(state: State) -> None:
        nonlocal written
        new, written = state.done[written:], len(state.done)
        for member in (each for each in new if each.failed):
            status.clear()
            console.print(views.failed_member(member))
        status.write(views.fleet_counts(state.done, state.running, state.waiting))

    try:
        yield show
    finally:
        status.clear()
