"""The only way for text to reach the terminal: control characters are shown, not sent.

Text from a service, such as a job's reason or a line of a log, may contain invisible characters,
and sequences that clear the screen, set the window's title or write the clipboard.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f"  # C0 without \t and \n, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Control characters, and those that are invisible or reverse the direction of text."""


def visible(text: str) -> str:
    r"""Return `text` with each hidden character as `\x1b` or `\u009b`; `\n` and `\t` stay.

    They are escaped as in JSON.
    """
    return HIDDEN.sub(_spelled, text)


def one_line(text: str) -> str:
    r"""Return `text` as `visible` does, on one line: a line break becomes `\n`.

    For text inside a line, such as a name or a sentence, which must not forge a line.
    """
    return visible(text).replace("\n", "\\n").replace("\t", " ")


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:  # as JSON does: by the two halves of UTF-16
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\x{code:02x}" if code < ord(" ") else f"\\u{code:04x}"


class _Stream(io.TextIOBase):
    """A stream that makes all text visible, also that of libraries and tracebacks."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(visible(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    @property
    def buffer(self) -> Any:
        return self.stream.buffer


@contextmanager
def guarded() -> Iterator[None]:
    """Send all text to stdout and stderr through `visible`, or through a `console`.

    So a library's warning, log line or traceback is covered too.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # a terminal without a character still gets the rest
    sys.stdout, sys.stderr = (cast(TextIO, _Stream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False, file: Any = None, **options: Any) -> Console:
    """Return rich's console, which sends only opsnb's own colours."""
    # Late, as rich takes longer to import than most commands take.
    from rich.console import Console  # noqa: PLC0415
    from rich.segment import Segment  # noqa: PLC0415

    class Safe(Console):
        def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
            for part in super().render(*args, **kwargs):
                yield part if part.control else Segment(visible(part.text), part.style)

    file = file or (sys.stderr if stderr else sys.stdout)
    stream = file.stream if isinstance(file, _Stream) else file
    return Safe(file=stream, highlight=False, markup=False, emoji=False, **options)


class StatusLine:
    """The last line of a terminal, rewritten in place.

    It only needs a carriage return: it works in every terminal, and a killed process leaves nothing
    to restore.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_written = False

    def write(self, text: str) -> None:
        """Show `text` in place of the line; what does not fit is truncated."""
        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415

        # One less, as a terminal may wrap after the last column.
        room = max(self._console.width - 1, 1)
        line = one_line(text)
        if cell_len(line) > room:
            line = set_cell_size(line, max(room - 3, 0)) + "..."
        self._put("\r" + set_cell_size(line, room))
        self._is_written = True

    def clear(self) -> None:
        """Clear the line, and move the cursor to its beginning."""
        if self._is_written:
            self._put("\r" + " " * max(self._console.width - 1, 1) + "\r")
        self._is_written = False

    def _put(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._console.file.write(text)
            self._console.file.flush()
