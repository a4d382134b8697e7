"""Lines at a terminal: sentences with a hanging indent, commands that never wrap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from opsnb.view.commands import noted, pieces

_LEAST = 24  # columns for a sentence; with fewer it goes below its label
_INDENT = 2


def command_line(text: str, style: str = "bold") -> Text:
    """Return a command as one line to copy, however narrow the terminal.

    The caller must print it without cropping.
    """
    return Text(f"{' ' * _INDENT}{noted(text)}", style, no_wrap=True, overflow="ignore")


def place(label: str, text: str) -> Text:
    """Return a path or URL, which is never truncated either."""
    return Text(f"{label}{text}", no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class Labelled:
    """A label and a sentence; a command in the sentence gets its own line."""

    label: Text
    text: str
    indent: int
    """The column where the sentence begins, to the right of the label."""
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, wrapped to the width of the terminal."""
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
                # Every line is indented, so that a line break from outside cannot forge one.
                for part in piece.text.splitlines():
                    yield from Text(part, self.style).wrap(console, room, overflow="fold")
