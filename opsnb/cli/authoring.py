"""`init`, `new` and `check`: runbooks of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opsnb.cli import output
from opsnb.cli.application import TargetOption, app
from opsnb.errors import UsageError


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Begin a repository with runbooks, checks and actions of your own."""
    from opsnb.authoring import writing

    for path in writing.repository(folder):
        output.note(f"  {path}")
    output.say(f"{folder} is ready. Next:\n  cd {folder} && make demo")


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="SECTION/NAME", help="What it is called, like orders/stuck.")
    ],
    check: Annotated[bool, typer.Option("--check", help="It only checks; the default.")] = False,
    action: Annotated[bool, typer.Option("--action", help="It acts, too.")] = False,
) -> None:
    """Write a runbook of your own, with all its sections and its parameters cell."""
    if check and action:
        raise UsageError("--check and --action exclude each other; leave one out.")
    from opsnb.authoring import writing

    path = writing.runbook(name, acts=action)
    output.say(f"{path}\nNext, fill it in and check it:\n  opsnb open {name}\n  opsnb check {path}")


@app.command()
def check(
    path: Annotated[
        Path | None,
        typer.Argument(help="A notebook or a folder; your own runbooks by default."),
    ] = None,
    target: TargetOption = None,
) -> int:
    """Check runbooks: parameters, structure, links, remedies, schedules, no outputs.

    With -t, each is also run there with its defaults, which must change nothing. Exit code 64 when
    something is wrong, one line for each place.
    """
    from opsnb.authoring import checking

    if path:
        checking.use_config_of(path)
    infos = checking.chosen(path)
    problems = list(checking.static(infos))
    if target:
        problems += checking.dry_runs(infos, target)
    for problem in problems:
        output.say(str(problem))
    count = f"{len(infos)} runbook{'s' * (len(infos) != 1)}"
    if problems:
        output.note(f"opsnb: {count} checked, {len(problems)} to correct.")
        return UsageError.exit_code
    output.note(f"{count} checked, nothing to correct.")
    return 0
