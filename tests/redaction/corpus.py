"""Reads the corpora: texts with planted secrets, and harmless ones."""

from __future__ import annotations

import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

_HEX = "0123456789abcdef"
_CLASSES = {
    "A": string.ascii_letters + string.digits,
    "L": string.ascii_letters,
    "l": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "D": string.digits,
    "h": _HEX,
    "b": string.ascii_letters + string.digits + "+/",
}
_MADE = re.compile(r"\{(?:([ALlUDhb])(\d+)|u)\}")
_SECRET = re.compile(r"«(.*?)»", re.DOTALL)
LEGIBLE = 6
"""As many characters in a row of a secret may not be left."""


@dataclass(frozen=True)
class Planted:
    """A text with a secret in it."""

    text: str
    secret: str

    def is_legible(self, masked: str) -> bool:
        """Whether a part of the secret can be read in the text that was masked."""
        if len(self.secret) <= LEGIBLE:
            return self.secret in masked
        starts = range(len(self.secret) - LEGIBLE + 1)
        # What stands around a secret may be equal to a part of it.
        around = self.text.replace(self.secret, "")
        parts = {self.secret[at : at + LEGIBLE] for at in starts}
        return any(part in masked and part not in around for part in parts)


def planted(name: str = "planted.txt") -> list[Planted]:
    """Return the texts with planted secrets."""
    return [
        Planted(line.replace("«", "").replace("»", ""), match[1])
        for line in _lines(name)
        if (match := _SECRET.search(line))
    ]


def harmless(name: str = "harmless.txt") -> list[str]:
    """Return the harmless texts."""
    return list(_lines(name))


def _lines(name: str) -> Iterator[str]:
    # The same each time, and no key of anybody's: made as the file is read.
    made = _maker(random.Random(name))
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            unescaped = re.sub(r"\\(\\n|n|x1b)", _unescape, line)
            yield _MADE.sub(made, unescaped)


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "x1b": "\x1b"}.get(match[1], match[1])


def _maker(source: random.Random) -> Callable[[re.Match[str]], str]:
    def made(match: re.Match[str]) -> str:
        if match[1] is None:
            return str(uuid.UUID(int=source.getrandbits(128), version=4))
        return "".join(source.choice(_CLASSES[match[1]]) for _ in range(int(match[2])))

    return made
