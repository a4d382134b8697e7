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


def rule_spans(rules: Iterable[Rule], text: str, folded: str) -> Iterator[Span]:
    """Yield the spans of the secrets of `rules` in `text`; `folded` is it in lower case."""
    for rule in rules:
        if any(needle in folded for needle in rule.needles):
            for match in rule.pattern.finditer(text):
                group = match.lastgroup or ""
                if rule.accepts(match[group]):
                    yield match.span(group)
