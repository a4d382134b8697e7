"""Made-up secrets, each planted in one place, so that one that is seen says where it came from."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SHORTEST = 6
"""Characters in a row of a secret that tell something of it."""

_LENGTH = 36


@dataclass
class Secrets:
    """The secrets, by the place in which each was planted."""

    known: dict[str, str] = field(default_factory=dict)
    """Those of the environment."""
    shaped: dict[str, str] = field(default_factory=dict)
    """Those that are only known by how they look."""
    _random: random.Random = field(default_factory=lambda: random.Random(11))

    def new(self, place: str, *, digits: bool = True) -> str:
        """Return a secret that the environment holds."""
        return self.known.setdefault(place, self._some(_LENGTH, digits=digits))

    def token(self, place: str) -> str:
        """Return a token of a well-known service."""
        return self.shaped.setdefault(place, "gh" + "p_" + self._some(_LENGTH))

    def _some(self, length: int, *, digits: bool = True) -> str:
        letters = self._random.choices(string.ascii_letters, k=length)
        for at in (7, 19, 28) if digits else ():
            letters[at] = self._random.choice(string.digits)
        return "".join(letters)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that hold the known ones."""
        return {f"PLANTED_{n}_SECRET": secret for n, secret in enumerate(self.known.values())}

    def crossing(self, place: str, *limits: int) -> Iterator[str]:
        """Yield texts in which a secret lies across the `limits`, near its ends and its middle."""
        for limit in limits:
            for inside in (2 * SHORTEST, _LENGTH // 2, _LENGTH - 2):
                yield self.across(place, limit, inside)
            token = self.token(f"{place}, a token across {limit}")
            yield filled(limit - 3 * SHORTEST) + token + " and more"

    def across(self, place: str, limit: int, inside: int = _LENGTH // 2) -> str:
        """Return a text in which so much of a secret stands before `limit`."""
        secret = self.new(f"{place}, {inside} before {limit}")
        return filled(limit - inside) + secret + " and more"

    def seen(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return the longest part of each secret that can be read, and in which of `places`."""
        lines = {line: where for where, text in places.items() for line in text.splitlines()}
        there = {part: where for line, where in lines.items() for part in _parts(line)}
        found = {}
        for place, secret in {**self.known, **self.shaped}.items():
            for form in (secret, re.sub(r"\d+", "#", secret)):
                parts = [part for part in _parts(form) if part in there]
                if parts:
                    found[place] = f"{' '.join(parts)} in {there[parts[0]]}"
        return found


def _parts(text: str) -> list[str]:
    return [text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)]


def filled(length: int) -> str:
    """Return words of exactly this length, with a space at the end."""
    words = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "
    return (words * (length // len(words) + 1))[: max(0, length - 1)] + " " * (length > 0)
