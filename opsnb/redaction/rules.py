"""Patterns of secrets, each with words that a text must contain: most texts contain none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from opsnb.redaction.spans import Span


@dataclass(frozen=True)
class Rule:
    """A pattern of a secret."""

    needles: tuple[str, ...]
    """In lower case; a text without any of them is not searched."""
    pattern: re.Pattern[str]
    """Its named group is the secret; several groups are alternatives."""
    accepts: Callable[[str], bool] = lambda _: True
    """Whether a match is a secret and not a word of a sentence."""


def rule(needles: str, pattern: str, accepts: Callable[[str], bool] = lambda _: True) -> Rule:
    """Return a rule; `needles` are separated by spaces, with `_` for a space."""
    words = tuple(needle.replace("_", " ") for needle in needles.split())
    return Rule(words, re.compile(pattern), accepts)


class Rules:
    """Rules that are tried at once."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._by_needle: dict[str, list[int]] = {}
        for number, rule in enumerate(self._rules):
            for needle in rule.needles:
                self._by_needle.setdefault(needle, []).append(number)

    def spans(self, text: str, folded: str) -> Iterator[Span]:
        """Yield the spans of secrets in `text`; `folded` is it in lower case."""
        having = [numbers for needle, numbers in self._by_needle.items() if needle in folded]
        for number in sorted({number for numbers in having for number in numbers}):
            rule = self._rules[number]
            for match in rule.pattern.finditer(text):
                group = match.lastgroup or ""
                if rule.accepts(match[group]):
                    yield match.span(group)
