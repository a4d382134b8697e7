"""Search in the text of past runs: what they printed, found and did."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from opsnb.records.history import SQL, Filters, Past
from opsnb.records.index import filled, statement
from opsnb.records.reader import Reader

_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_MOST_PIECES = 32
COMMON = (
    "a|an|and|are|at|by|did|do|does|for|from|had|has|have|how|i|in|is|it|me|my|of|on|or|our|the|"
    "there|this|to|was|we|were|what|when|where|which|who|why|with|you"
)
"""Words that say nothing of what is searched."""
_COMMON = re.compile(COMMON, re.IGNORECASE)


@dataclass(frozen=True)
class Hit:
    """A past run whose text matches a search."""

    run: Past
    operator: str
    snippet: str
    """Its text around the words that match, on one line."""

    @property
    def line(self) -> str:
        """It on one line, for pipes."""
        return replace(self.run, sentence=self.snippet).line

    @property
    def as_json(self) -> dict[str, Any]:
        """It as a JSON object."""
        return {
            "run_id": self.run.run_id,
            "runbook": self.run.runbook,
            "target": self.run.target,
            "status": self.run.status.value,
            "started": self.run.started.isoformat(),
            "operator": self.operator,
            "sentence": self.run.sentence,
            "snippet": self.snippet,
        }


def search(reader: Reader, text: str, filters: Filters, limit: int) -> list[Hit]:
    """Return the runs whose text matches `text`, the best first, at most `limit`.

    All words must be there, in any form ("cleared" finds "clear"); words in quotes must stand
    together. If no run has them all, those that begin like them count, then those with any of them.
    Every text is allowed.
    """
    reader.index.refresh(since=filters.since, texts=True)
    reader.broken |= reader.index.unread
    for words in _queries(text):
        asked = {
            **filters.bound(),
            "page": limit,
            "words": words,
            "in_done": f"{{about done}} : ({words})",
            "in_found": f"{{about found}} : ({words})",
        }
        if found := reader.index.read(statement("search", SQL), asked):
            return [
                Hit(filled(Past, row), row["operator"], " ".join(row["snippet"].split()))
                for row in found
            ]
    return []


def _queries(text: str) -> Iterator[str]:
    """Yield queries of FTS5, the strictest first; none when `text` has no word."""
    pieces = [quoted or bare for quoted, bare in _PIECE.findall(text.replace("\0", " "))]
    pieces = [piece for piece in pieces if re.search(r"[^\W_]", piece)][:_MOST_PIECES]
    words = [piece for piece in pieces if not _COMMON.fullmatch(piece)] or pieces
    if not words:
        return
    phrases = [f'"{word}"' for word in words]  # quoted, nothing is a word of FTS5's own language
    yield " AND ".join(phrases)
    yield " AND ".join(f"{phrase} *" for phrase in phrases)
    yield " OR ".join(f"{phrase} *" for phrase in phrases)
