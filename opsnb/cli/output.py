"""What the command line writes: answers to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from opsnb.view import commands, terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from opsnb.config.file import Config
    from opsnb.model import RunResult, Table
    from opsnb.records.store import Store


def say(text: str) -> None:
    """Print an answer."""
    with _reader_may_leave():
        typer.echo(terminal.visible(text))


def error(message: str) -> None:
    """Print what went wrong on stderr; at a terminal a command in it has a line of its own."""
    text = f"opsnb: {message}"
    if not sys.stderr.isatty():
        note(terminal.one_line(text))
        return
    for piece in commands.pieces(text):
        note(f"  {piece.text}" if piece.is_command else terminal.one_line(piece.text))


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Ignore a closed pipe, a terminal that is gone, a full disk: the exit code stays the run's."""
    try:
        yield
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def render(renderable: RenderableType) -> None:
    """Print for a person: colour on a terminal, plain words elsewhere."""
    with _reader_may_leave():
        # Not cropped: a command is never cut. What else is printed is as wide as the terminal.
        terminal.console().print(renderable, crop=False)


def json_document(value: Any) -> None:
    """Print an answer for programs."""
    say(json.dumps(value, indent=2))


def note(text: str) -> None:
    """Print on stderr: how long work is going, or what went wrong."""
    with suppress(OSError):  # the terminal may be gone
        typer.echo(terminal.visible(text), err=True)


@contextmanager
def telling() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield what tells a sentence on stderr, and what shows below, on a terminal, how it goes."""
    if not sys.stderr.isatty():
        yield note, lambda _: None
        return
    console = terminal.console(stderr=True)
    status = terminal.StatusLine(console)

    def tell(sentence: str) -> None:
        status.clear()
        console.print(sentence)

    try:
        yield tell, status.write
    finally:
        status.clear()


def record(store: Store, result: RunResult) -> None:
    """Print a run; without the tables that it shows when its notebook cannot be read any more."""
    from opsnb.records import recovery
    from opsnb.records import show as views
    from opsnb.records.extract import tables

    shown: list[Table] = []
    location = result.location
    with suppress(Exception):  # whatever is wrong with the store, what was done is shown
        if store.has(result.run_id):
            location = store.folder(result.run_id)
            shown = tables(store.notebook(result.run_id))
        elif notebook := recovery.notebook(result):
            shown = tables(notebook)
    render(views.record(result, location, shown))


def run_result(result: RunResult, config: Config, as_json: bool) -> int:
    """Print what came of a run and return its exit code."""
    if as_json:
        say(result.model_dump_json(indent=2))
    else:
        from opsnb.records.store import Store

        record(Store(config.store), result)
    return result.exit_code
