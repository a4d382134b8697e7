"""The command line's root, its groups, and what its options have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from opsnb import __version__, commands
from opsnb.cli import output

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,  # they show the values of variables, secrets too
    rich_markup_mode=None,  # rich takes longer to import than --help may take
    help="Executable operations runbooks: notebooks that check, act and keep a record.",
    epilog="Exit codes: 0 ok, 1 warn, 2 crit, 3 unknown; 64 unusable input, 70 broken run, "
    "75 locked by another run, 77 refused, 124 timed out, 130 interrupted.",
)
records_app = typer.Typer(no_args_is_help=True, help="What past runs left.")
schedule_app = typer.Typer(no_args_is_help=True, help="Runbooks that cron runs.")
notify_app = typer.Typer(no_args_is_help=True, help="Who is told what scheduled runs find.")
site_app = typer.Typer(no_args_is_help=True, help="Runbooks and records as one browsable site.")
demo_app = typer.Typer(no_args_is_help=True, help="A real system to try everything on.")
app.add_typer(records_app, name="records")
app.add_typer(schedule_app, name="schedule")
app.add_typer(notify_app, name="notify")
app.add_typer(site_app, name="site")
app.add_typer(demo_app, name="demo")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
TargetOption = Annotated[
    str | None,
    typer.Option("-t", "--target", metavar="TARGET", help="A target of opsnb.toml."),
]
TargetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-t",
        "--target",
        metavar="TARGET",
        help="A target of opsnb.toml, a glob of several, or `all`; repeatable.",
    ),
]
ParameterOptions = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; repeatable."),
]
EnvironmentFile = Annotated[
    Path | None,
    typer.Option("--environment", help="A file of NAME=value lines with what opsnb.toml uses."),
]


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", metavar="FILE", help="Use this opsnb.toml."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        output.say(f"opsnb {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        output.say(context.get_help())
    if config:
        # The kernels that this starts, and the commands that they print, are to use it too.
        os.environ[commands.CONFIG] = str(config.expanduser().resolve())
