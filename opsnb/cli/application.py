"""The root of the command line, its groups, and the options that commands share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from opsnb import __version__
from opsnb.cli import completion, output
from opsnb.view import commands


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn an interrupt into Abort: on KeyboardInterrupt, typer ends without a word."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise typer.Abort from error


class _Group(TyperGroup):
    """A group whose help is never cut, however narrow the terminal."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line, which imports what it is checked with."""
        with _interruptible():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _interruptible():
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - of its base
        """Write the first paragraph of each command's help."""
        rows = [
            (name, " ".join((command.help or "").split("\n\n")[0].split()))
            for name, command in self.commands.items()
            if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    cls=_Group,
    pretty_exceptions_enable=False,  # they show the values of variables, including secrets
    rich_markup_mode=None,  # importing rich would slow down --help
    help="Executable operations runbooks: notebooks that check, act and keep a record.",
    epilog="Exit codes: 0 ok, 1 warn, 2 crit, 3 unknown; 64 invalid input, 70 run failed, "
    "75 locked by another run, 77 refused, 124 timed out, 130 interrupted.",
)


def _group(words: str) -> typer.Typer:
    return typer.Typer(cls=_Group, no_args_is_help=True, help=words)


records_app = _group("Records of past runs.")
schedule_app = _group("Runbooks that run on a schedule.")
notify_app = _group("Notifications about findings.")
site_app = _group("The site of runbooks and records.")
demo_app = _group("The demo stack: a real system to practise on.")
app.add_typer(records_app, name="records")
app.add_typer(schedule_app, name="schedule")
app.add_typer(notify_app, name="notify")
app.add_typer(site_app, name="site")
app.add_typer(demo_app, name="demo")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "-t",
        "--target",
        metavar="TARGET",
        help="A target in opsnb.toml.",
        autocompletion=completion.targets,
    ),
]
TargetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-t",
        "--target",
        metavar="TARGET",
        help="A target in opsnb.toml, a glob, or `all`; repeatable.",
        autocompletion=completion.targets,
    ),
]
RunbookArgument = Annotated[
    str,
    typer.Argument(
        help="A runbook id; list them with `opsnb list`.", autocompletion=completion.runbooks
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        help="A run id, the end of one, or `latest`.", autocompletion=completion.run_ids
    ),
]
ParameterOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--parameter",
        metavar="NAME=VALUE",
        help="Set a parameter; repeatable.",
        autocompletion=completion.parameters,
    ),
]
EnvironmentFile = Annotated[
    Path | None,
    typer.Option(
        "--environment", help="A file of NAME=value lines: the variables that opsnb.toml uses."
    ),
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
        raise typer.Exit
    if config:
        # So that the kernels that this starts, and the commands that they print, use it too.
        os.environ[commands.CONFIG] = str(config.expanduser().resolve())
