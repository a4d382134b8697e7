"""The one way by which text reaches the terminal: control characters in it are shown, not obeyed.

What a service says, a job's reason or a line of a log, may hold sequences that clear the screen,
set the window's title or write the clipboard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Return `text` with each control character as `\x1b` or `\u009b`; `\n` and `\t` stay.

    Those of JSON's own text are spelled as JSON does. Marks that turn the direction of writing
    around are among them.
    """
    return _CONTROL.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < ord(" ") else f"\\u{code:04x}"


def console(**options: Any) -> Console:
    """Return rich's console; the colours that it writes are opsnb's own."""
    # Late, as rich takes longer to import than most commands take.
    from rich.console import Console  # noqa: PLC0415
    from rich.segment import Segment  # noqa: PLC0415

    class Safe(Console):
        def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
            for part in super().render(*args, **kwargs):
                yield part if part.control else Segment(visible(part.text), part.style)

    return Safe(highlight=False, **options)
