"""`open` and `lab`: runbooks in JupyterLab."""

from __future__ import annotations

from typing import Annotated

import typer

from opsnb import catalog
from opsnb.cli import output
from opsnb.cli.application import ParameterOptions, RunbookArgument, TargetOption, app
from opsnb.cli.context import config_in_force, given_parameters, store_in_force

_JUPYTERLAB = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("open", context_settings=_JUPYTERLAB)
def open_runbook(
    context: typer.Context,
    runbook: RunbookArgument,
    target: TargetOption = None,
    parameter: ParameterOptions = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Let its cells apply what they plan.")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="The name of a protected target."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Wait at most this long for a locked target."),
    ] = None,
) -> None:
    """Open a runbook in JupyterLab with its parameters filled in; your run is recorded.

    Other options, such as --no-browser, are passed to JupyterLab.
    """
    info = catalog.runbook(runbook)
    confirmed = () if confirm is None else (confirm,)
    given = given_parameters(info, parameter or (), [target] if target else [], apply, confirmed)
    values, config = info.validate(given), config_in_force()
    values["target"] = values.get("target") or config.only
    config.target(
        values["target"]
    )  # so that an unknown target is refused here, not in the notebook
    _check_jupyterlab(context)
    store = store_in_force()
    store.demand_writable()
    # Imported here: a refusal must not wait for papermill.
    from opsnb.lab.copies import fresh, working_folder
    from opsnb.lab.jupyterlab import become
    from opsnb.lab.locks import demand_free

    if values.get("apply"):
        demand_free(store, info, values, wait)
    folder = working_folder()
    first = fresh(folder, info, values, armed=bool(values.get("apply")))
    output.note(f"JupyterLab opens a working copy: {folder / first}")
    become(folder, first, context.args)


@app.command(context_settings=_JUPYTERLAB)
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the runbooks; your runs are recorded.

    Options such as --no-browser are passed to JupyterLab.
    """
    _check_jupyterlab(context)
    store_in_force().demand_writable()
    from opsnb.lab.copies import working_folder
    from opsnb.lab.jupyterlab import become
    from opsnb.lab.launcher import PAGE

    folder = working_folder()
    output.note(f"Each runbook that you open is a copy in {folder}")
    become(folder, PAGE, context.args)


def _check_jupyterlab(context: typer.Context) -> None:
    """Raise UsageError when an option is neither this command's nor JupyterLab's."""
    if context.args:
        from opsnb.lab import options

        options.check(context.args, [name for each in context.command.params for name in each.opts])
