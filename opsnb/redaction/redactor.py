"""Mask secrets in text, notebooks and results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

from opsnb.redaction.known import Known
from opsnb.redaction.mask import MASK
from opsnb.redaction.names import SECRET_KEY
from opsnb.redaction.notebooks import (
    is_notebook,
    is_outputs,
    masked_bundle,
    masked_notebook,
    masked_outputs,
)
from opsnb.redaction.pages import markup, styleless, styles, words_of
from opsnb.redaction.results import masked, masked_entries, masked_fields, masked_rows, own_words
from opsnb.redaction.shapes import shape_spans
from opsnb.redaction.spans import Span, cut, cut_around, cut_pieces, merged, places, within

_Model = TypeVar("_Model", bound=BaseModel)
_known = lru_cache(maxsize=4)(Known)  # of this target's secrets, run after run
_HALVES = re.compile("[\ud800-\udfff]")


class Redactor:
    """Masks known secrets, also encoded ones, and well-known shapes of secrets.

    opsnb's own words are never masked, whatever the secrets are: the keys, types and enumerations
    of notebooks and results, run ids, times, names of checks and runbooks.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the known secrets; those shorter than six characters are found only by shape."""
        self._known = _known(frozenset(secrets))
        # A notebook is masked again after each cell, mostly unchanged.
        self._spans = lru_cache(maxsize=16_384)(self._find)
        self._fields = lru_cache(maxsize=1024)(self._mask_fields)
        self._shown = lru_cache(maxsize=1024)(self._mask_shown)

    def text(self, text: str) -> str:
        """Return `text` with every secret masked, and without characters that cannot be encoded.

        JSON from outside may hold half of a character (`\\ud800`), which no file and no message
        of a kernel takes.
        """
        return _HALVES.sub("\N{REPLACEMENT CHARACTER}", cut(text, self._spans(text)))

    def result(self, model: _Model) -> _Model:
        """Return a finding, an action's journal or a result with its outside text masked."""
        return masked(model, self.json)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of a table with their values masked."""
        return masked_rows([dict(row) for row in rows], self.json)

    def entries(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters or arguments with their values masked."""
        return masked_entries(dict(entries), self.json)

    def bundle(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return an output's data by MIME type masked."""
        return masked_bundle(data, self)

    def fields(
        self, model: type[BaseModel], fields: Mapping[str, Any]
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """Return the fields of a `model` masked, and its own words if nothing was masked."""
        text, own = self._fields(model, json.dumps(fields))
        return json.loads(text), own

    def _mask_fields(self, model: type[BaseModel], text: str) -> tuple[str, frozenset[str]]:
        fields = json.loads(text)
        masked = json.dumps(masked_fields(model, fields, self.json))
        # The text and the HTML were made from data without secrets.
        return masked, frozenset(own_words(model, fields) if masked == text else ())

    def tree(self, value: Any) -> Any:
        """Return a notebook, a cell's outputs, or other JSON from outside masked."""
        if is_notebook(value):
            return masked_notebook(value, self)
        if is_outputs(value):
            return masked_outputs(value, self)
        return self.json(value)

    def json(self, value: Any) -> Any:
        """Return JSON from outside with its strings, keys and secret numbers masked.

        What stands under a telling key (`{"password": ...}`) is masked whatever it looks like.
        Lists of strings are read as one text, so that a secret that spans lines is found.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, dict):
            return {self.text(key): self._entry(key, item) for key, item in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if self._known.is_number(value) else value
        return value

    def pieces(self, pieces: Sequence[str]) -> list[str]:
        """Return the pieces of one text masked, as separate pieces."""
        if not pieces:
            return []
        return cut_pieces(pieces, self._spans("".join(pieces)))

    def shown(self, text: str, own: frozenset[str], *, is_html: bool) -> str:
        """Return `text` masked, except markup and opsnb's `own` words."""
        return self._shown(text, own, is_html)

    def _mask_shown(self, text: str, own: frozenset[str], is_html: bool) -> str:
        if not is_html:
            spans = list(self._spans(text))
        else:
            spans = [
                reading.span(*span)
                for reading in (styleless(text), words_of(text))
                if reading
                for span in self._spans(reading.text)
            ]
            spans += [
                (at + start, at + end)
                for at, style in styles(text)
                for start, end in self._spans(style)
            ]
        if not spans:
            return text
        kept, tags = places(text, own), markup(text) if is_html else []
        return cut_around(text, [span for span in merged(spans) if not within(span, kept)], tags)

    def known(self, text: str) -> str:
        """Return `text` with only the known secrets masked."""
        return cut(text, merged(self._known.spans(text)))

    def _find(self, text: str) -> tuple[Span, ...]:
        masks = places(text, [MASK])
        spans = merged([*self._known.spans(text), *shape_spans(text)])
        return tuple(span for span in spans if not within(span, masks))

    def _list(self, items: list[Any]) -> list[Any]:
        if not items or not all(isinstance(item, str) for item in items):
            return [self.json(item) for item in items]
        if all(item.endswith("\n") for item in items[:-1]):
            return self.pieces(items)
        lines = [f"{item}\n" for item in items]
        return [line.removesuffix("\n") for line in self.pieces(lines)]

    def _entry(self, key: str, item: Any) -> Any:
        if SECRET_KEY.search(key) and item and not isinstance(item, bool):
            return MASK
        return self.json(item)
