"""Lines at a terminal: sentences that wrap under themselves, commands that never wrap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from opsnb.view.commands import noted, pieces

_LEAST = 24  # columns for a sentence; with less it stands below its label
_INDENT = 2


def command_line(text: str, style: str = "bold") -> Text:
    """Return a command on a line of its own: however narrow the terminal, it is one line to copy.

    Whoever prints it must not crop.
    """
    return Text(f"{' ' * _INDENT}{noted(text)}", style, no_wrap=True, overflow="ignore")


def place(label: str, text: str) -> Text:
    """Return a place, which is never cut either."""
    return Text(f"{label}{text}", no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class Labelled:
    """A label, and beside it a sentence; a command in that has a line of its own."""

    label: Text
    text: str
    indent: int
    """Where the sentence begins; more than the label is wide."""
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, as wide as there is room."""
        room = options.max_width - self.indent
        label, indent = self.label.copy(), self.indent
        if room < _LEAST:
            yield from self.label.wrap(console, options.max_width, overflow="fold")
            label, indent = Text(), _INDENT
            room = max(options.max_width - indent, 1)
        for line in self._lines(console, room):
            if line is None:
                continue
            if line.no_wrap:
                if label:
                    yield label
                yield line
            else:
                label.pad_right(indent - label.cell_len)
                yield Text.assemble(label, line)
            label = Text()
        if label:
            yield label

    def _lines(self, console: Console, room: int) -> Iterator[Text]:
        for piece in pieces(self.text):
            if piece.is_command:
                yield command_line(piece.text)
            else:
                # A line break from outside begins no line of ours: all lines are indented.
                for part in piece.text.splitlines():
                    yield from Text(part, self.style).wrap(console, room, overflow="fold")
