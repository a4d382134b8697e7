"""Patterns of secrets, each with what a text must hold to have it: most texts hold nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from opsnb.redaction.spans import Span


@dataclass(frozen=True)
class Rule:
    """A pattern of a secret."""

    needles: tuple[str, ...]
    """In lower case; a text that holds none of them is not searched."""
    pattern: re.Pattern[str]
    """Its named group is the secret; several are alternatives."""
    accepts: Callable[[str], bool] = lambda _: True
    """Whether what it found is a secret indeed, and no word of a sentence."""


def rule(needles: str, pattern: str, accepts: Callable[[str], bool] = lambda _: True) -> Rule:
    """Return a rule whose needles are separated by spaces, `_` being a space in one."""
    words = tuple(needle.replace("_", " ") for needle in needles.split())
    return Rule(words, re.compile(pattern), accepts)


def rule_spans(rules: Iterable[Rule], text: str, folded: str) -> Iterator[Span]:
    """Yield where the secrets of `rules` stand in `text`; `folded` is it in lower case."""
    for each in rules:
        if any(needle in folded for needle in each.needles):
            for match in each.pattern.finditer(text):
                group = match.lastgroup or ""
                if each.accepts(match[group]):
                    yield match.span(group)
