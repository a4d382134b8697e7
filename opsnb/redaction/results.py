"""Mask results by their model: text from outside, but not opsnb's own words.

Statuses, states, times and numbers are opsnb's own by their type, the fields below by what they
hold. Everything else is taken for text from outside, so that a new field cannot be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

from opsnb.model import (
    ACTION_MIME,
    FINDING_MIME,
    TABLE_MIME,
    ActionRecord,
    ActionState,
    Evidence,
    Finding,
    Remedy,
    RunResult,
    Seal,
    Status,
    Table,
    Threshold,
)

BUNDLES: dict[str, type[BaseModel]] = {
    FINDING_MIME: Finding,
    ACTION_MIME: ActionRecord,
    TABLE_MIME: Table,
}
"""The model of each of opsnb's own MIME types."""

_OWN: dict[type[BaseModel], frozenset[str]] = {
    Finding: frozenset({"name", "title", "unit", "threshold", "failure", "caused_by"}),
    Remedy: frozenset({"runbook", "target"}),
    Evidence: frozenset(),
    ActionRecord: frozenset({"id", "name", "title", "target", "continues", "unit"}),
    Table: frozenset({"title"}),
    Seal: frozenset({"sha256", "notebook_sha256", "previous"}),
    RunResult: frozenset(
        {"run_id", "runbook", "title", "runbook_sha256", "commit", "target", "trigger"}
        | {"incident", "parent", "fleet", "opsnb_version"}
    ),
}
_OWN_TYPES = (Enum, datetime, bool, int, float, Threshold)

_WORDS = frozenset({*Status, *ActionState})
_WORD_COLUMNS = frozenset({"status", "state"})
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[\w.-]+-[0-9a-f]{4,}")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?"
)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*|[a-z]+(?: [a-z]+){1,5}")
_RUNBOOK = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")

_Model = TypeVar("_Model", bound=BaseModel)
Mask = Callable[[Any], Any]
"""Masks JSON from outside."""


def masked(model: _Model, mask: Mask) -> _Model:
    """Return `model` with its outside text masked."""
    fields = masked_fields(type(model), model.model_dump(mode="json"), mask)
    return type(model).model_validate(fields)


def masked_fields(model: type[BaseModel], fields: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """Return the `fields` of a `model`, in JSON, with the outside text masked."""
    safe = {name: _field(model, name, value, mask) for name, value in fields.items()}
    parameters = fields.get("parameters")
    if model is RunResult and isinstance(parameters, dict):
        target = parameters.get("target")
        if target and target == fields.get("target"):  # its name again
            safe["parameters"]["target"] = target
    return safe


def own_words(model: type[BaseModel], fields: Mapping[str, Any]) -> set[str]:
    """Return opsnb's own words in the `fields` of a `model`, as in text and HTML."""
    own = [value for name, value in fields.items() if _is_own(model, name, value)]
    own += [word for value in own if isinstance(value, dict) for word in value.values()]
    words = [word for word in own if isinstance(word, str)]
    return {form for word in words for form in (word, word.upper())}


def _field(model: type[BaseModel], name: str, value: Any, mask: Mask) -> Any:
    nested = _nested(model, name)
    if nested and isinstance(value, dict):
        return masked_fields(nested, value, mask)
    if nested and isinstance(value, list):
        return [
            masked_fields(nested, item, mask) if isinstance(item, dict) else mask(item)
            for item in value
        ]
    if _is_own(model, name, value):
        return value
    if name in ("rows", "sample") and isinstance(value, list):
        return masked_rows(value, mask)
    if name in ("parameters", "arguments", "terms") and isinstance(value, dict):
        return masked_entries(value, mask)
    return mask(value)


def _is_own(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether the field has only opsnb's own words or numbers."""
    if name in _OWN[model]:
        return True
    if value is None:
        return True
    own = _own_kinds(model, name)
    # A damaged record may have text in place of a number.
    return bool(own) and (not isinstance(value, str) or _is_text_of(own, value))


@cache
def _own_kinds(model: type[BaseModel], name: str) -> tuple[type, ...]:
    """Return the types of a field that hold only numbers, times or opsnb's own words."""
    field = model.model_fields.get(name)
    kinds = (field.annotation, *get_args(field.annotation)) if field else ()
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, _OWN_TYPES))


def _is_text_of(kinds: Iterable[type], text: str) -> bool:
    """Whether `text` is a status or a time in JSON."""
    if _TIME.fullmatch(text):
        return any(issubclass(kind, datetime) for kind in kinds)
    enums = [kind for kind in kinds if issubclass(kind, Enum)]
    return any(text in {member.value for member in enum} for enum in enums)


@cache
def _nested(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    kinds = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def masked_rows(rows: list[Any], mask: Mask) -> list[Any]:
    """Return `rows` of a table with outside text masked; columns keep their names."""
    return [masked_entries(row, mask) if isinstance(row, dict) else mask(row) for row in rows]


def masked_entries(entries: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """Return `entries` with their values masked, and names that are not plain."""
    safe = {}
    for name, value in entries.items():
        # Masked together, as the value of `password` is always secret.
        ((masked_name, masked_value),) = mask({name: value}).items()
        key = name if _PLAIN_NAME.fullmatch(name) else masked_name
        safe[key] = value if _is_own_entry(name, value) else masked_value
    return safe


def _is_own_entry(name: str, value: Any) -> bool:
    """Whether an entry is a time, a run id, a runbook id or a status."""
    if not isinstance(value, str):
        return False
    if _TIME.fullmatch(value) or _RUN_ID.fullmatch(value):
        return True
    if name == "runbook":
        return bool(_RUNBOOK.fullmatch(value))
    return name in _WORD_COLUMNS and value in _WORDS
