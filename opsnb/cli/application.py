"""The root of the command line, its groups, and the options that commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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


def _take_text_as_it_is(command: Any, context: Any) -> None:
    """Let options of `command` that are text, or not given, pass unchecked.

    For the check, typer imports most of pydantic, which takes longer than all the rest of a start.
    """
    for parameter in command.get_params(context):
        parameter.process_value = partial(_value, parameter, parameter.process_value)


def _value(parameter: Any, checked: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    is_left_out = value is None and not parameter.required
    if not is_left_out and not (value and kind in (str, list[str])):
        return checked(context, value)
    taken = list(value) if value and kind == list[str] else value
    return parameter.callback(context, parameter, taken) if parameter.callback else taken


class _Group(TyperGroup):
    """A group whose help is never cut, however narrow the terminal."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line, which may import what it is checked with."""
        with _interruptible():
            return super().make_context(*args, **kwargs)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options of the group itself."""
        _take_text_as_it_is(self, ctx)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name, or None."""
        command = super().get_command(ctx, cmd_name)
        if command and not isinstance(command, _Group):
            _take_text_as_it_is(command, ctx)
        return command

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
