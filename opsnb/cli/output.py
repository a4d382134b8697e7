"""What the command line prints: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from opsnb.view import commands, terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from opsnb.config.file import Config
    from opsnb.model import RunResult, Table
    from opsnb.records.store import Store

_AT_ONCE = 100  # items of a list that are laid out and printed together


def say(text: str) -> None:
    """Print a result."""
    with _reader_may_leave():
        typer.echo(terminal.visible(text))


def error(message: str) -> None:
    """Print an error on stderr; on a terminal, a command in it gets its own line."""
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
    """Print for people: in colour on a terminal, plain elsewhere."""
    with _reader_may_leave():
        # Not cropped, so that no command is cut; everything else fits the terminal.
        terminal.console().print(renderable, crop=False)


class _Entry(Protocol):
    @property
    def line(self) -> str: ...


_Item = TypeVar("_Item", bound=_Entry)


def entries(items: Iterable[_Item], laid_out: Callable[[Sequence[_Item]], RenderableType]) -> None:
    """Print a list as it comes: `laid_out` on a terminal, a line for each item elsewhere."""
    waiting = iter(items)
    with _reader_may_leave():
        console = terminal.console() if sys.stdout.isatty() else None
        while some := list(islice(waiting, _AT_ONCE)):
            if console:
                console.print(laid_out(some), crop=False)
            else:
                typer.echo("\n".join(item.line for item in some))


def json_array(documents: Iterable[str]) -> None:
    """Print JSON documents as one array, each as it comes."""
    with _reader_may_leave():
        before = "[\n"
        for document in documents:
            typer.echo(before + terminal.visible(document), nl=False)
            before = ",\n"
        typer.echo("[]" if before == "[\n" else "\n]")


def json_document(value: Any) -> None:
    """Print a result for programs."""
    say(json.dumps(value, indent=2))


def note(text: str) -> None:
    """Print a line on stderr."""
    with suppress(OSError):  # the terminal may be gone
        typer.echo(terminal.visible(text), err=True)


@contextmanager
def progress() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield a function that prints a sentence on stderr, and one that shows progress below it."""
    if not sys.stderr.isatty():
        yield note, lambda _: None
        return
    console = terminal.console(stderr=True)
    status = terminal.StatusLine(console)

    def say_above(sentence: str) -> None:
        status.clear()
        console.print(sentence)

    try:
        yield say_above, status.write
    finally:
        status.clear()


def record(store: Store, result: RunResult) -> None:
    """Print a run, without its tables when its notebook cannot be read."""
    from opsnb.records import recovery
    from opsnb.records import show as views
    from opsnb.records.extract import tables

    shown: list[Table] = []
    location = result.location
    with suppress(Exception):  # the run is shown even when the store fails
        if store.has(result.run_id):
            location = store.folder(result.run_id)
            shown = tables(store.notebook(result.run_id))
        elif notebook := recovery.notebook(result):
            shown = tables(notebook)
    render(views.record(result, location, shown))


def run_result(result: RunResult, config: Config, as_json: bool) -> int:
    """Print the result of a run and return its exit code."""
    if as_json:
        say(result.model_dump_json(indent=2))
    else:
        from opsnb.records.store import Store

        record(Store(config.store), result)
    return result.exit_code
