"""Finds many strings in a text in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opsnb.redaction.spans import Span

SHORTEST = 6
"""The least length of a string to search for."""
_GRAM = 4
_STEP = SHORTEST - _GRAM + 1
_WINDOWS = 12  # places of a string that are tried for rare grams


class Needles:
    """Searches for many strings in a time that depends only on the length of the text.

    Every third place of the text is looked at: of any string that stands there, one of three
    neighbouring grams of four characters does so at such a place. Few strings share a gram, as
    each is known by those of its grams that are the rarest.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        """Take the strings; those of fewer than six characters are ignored."""
        self._by_gram: dict[str, list[tuple[str, int]]] = {}
        # Sorted, so that the result is always the same.
        for string in sorted(set(strings)):
            if len(string) >= SHORTEST:
                self._add(string)

    def _add(self, string: str) -> None:
        windows = range(min(len(string) - SHORTEST + 1, _WINDOWS))
        window = min(windows, key=lambda at: self._sharing(string, at))
        for at in range(window, window + _STEP):
            self._by_gram.setdefault(string[at : at + _GRAM], []).append((string, at))

    def _sharing(self, string: str, window: int) -> int:
        """Return how many strings share the grams of a window of `string`."""
        grams = (string[at : at + _GRAM] for at in range(window, window + _STEP))
        return sum(len(self._by_gram.get(gram, ())) for gram in grams)

    def spans(self, text: str) -> Iterator[Span]:
        """Yield the spans of the strings in `text`."""
        known = self._by_gram
        if not known:
            return
        places = range(0, len(text) - _GRAM + 1, _STEP)
        for place in [place for place in places if text[place : place + _GRAM] in known]:
            for string, at in known[text[place : place + _GRAM]]:
                if place >= at and text.startswith(string, place - at):
                    yield place - at, place - at + len(string)
