"""The one way by which text reaches the terminal: control characters in it are shown, not obeyed.

What a service says, a job's reason or a line of a log, may hold sequences that clear the screen,
set the window's title or write the clipboard, and characters that nobody sees.
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
"""What a terminal obeys, or what turns the direction of writing around or takes no room."""


def visible(text: str) -> str:
    r"""Return `text` with each hidden character as `\x1b` or `\u009b`; `\n` and `\t` stay.

    Those of JSON's own text are spelled as JSON does.
    """
    return HIDDEN.sub(_spelled, text)


def one_line(text: str) -> str:
    r"""Return `text` as `visible` does, on one line: a line break is `\n`, so that none is forged.

    For what stands in a line of ours: a name, a sentence.
    """
    return visible(text).replace("\n", "\\n").replace("\t", " ")


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:  # as JSON does: by the two halves of UTF-16
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\x{code:02x}" if code < ord(" ") else f"\\u{code:04x}"


class _Stream(io.TextIOBase):
    """A stream on which whatever is printed is made visible: by libraries and tracebacks too."""

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
    """Let nothing through to stdout and stderr but by `visible`, or by a `console`.

    So no library's warning, log line or traceback is a way round.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign still gets the rest
    sys.stdout, sys.stderr = (cast(TextIO, _Stream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False, file: Any = None, **options: Any) -> Console:
    """Return rich's console; the colours that it writes are opsnb's own."""
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
    """The last line of a terminal, written again and again without moving the cursor elsewhere.

    A carriage return is all that it needs, so any terminal shows it, and nothing has to be put
    back when the process is killed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_written = False

    def write(self, text: str) -> None:
        """Show `text` in place of what stood there; what does not fit is cut."""
        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415

        # One less: behind the last column a terminal may go to the next line.
        room = max(self._console.width - 1, 1)
        line = one_line(text)
        if cell_len(line) > room:
            line = set_cell_size(line, max(room - 3, 0)) + "..."
        self._put("\r" + set_cell_size(line, room))
        self._is_written = True

    def clear(self) -> None:
        """Leave the line empty, and the cursor at its beginning."""
        if self._is_written:
            self._put("\r" + " " * max(self._console.width - 1, 1) + "\r")
        self._is_written = False

    def _put(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._console.file.write(text)
            self._console.file.flush()
