"""Lists of the records that `opsnb records prune` removed: `<store>/.removed/<id>.json`.

A list says who removed what, and when, with the seals of those records, so that `verify` does not
miss them. `verify --accept` writes such a list, too: of records that were changed, removed or put
in by hand, on purpose.

A list is a link of the chain of seals itself: it names the heads, and the next record names it. So
a list that is changed, removed or put in later shows like a record, and every list is reported by
`verify`: a removal can be explained, but not hidden.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from opsnb.records import seals, stored
from opsnb.records.place import Place

FOLDER = ".removed"
_LIMIT = 16_000_000  # bytes


class Removed(BaseModel):
    """A removed record, as it was sealed."""

    sha256: str = ""
    """Empty when it had no seal."""
    at: datetime | None = None
    previous: dict[str, str] = Field(default_factory=dict)


class Removal(BaseModel):
    """One list."""

    operator: str
    host: str
    reason: str
    """Which rule they matched, in words."""
    at: datetime
    previous: dict[str, str]
    """The heads when it was written, as in a record's seal."""
    records: dict[str, Removed] = Field(default_factory=dict)
    accepted: dict[str, str] = Field(default_factory=dict)
    """The sha256 of records that are there, but not as they were written, by run id."""


def name(list_id: str) -> str:
    """Return the name, in its store, of the list with an id that is made like that of a run."""
    return f"{FOLDER}/{list_id}.json"


def sha256(place: Place, list_id: str) -> str:
    """Return the sha256 of a list. Raises OSError, ValueError."""
    return stored.digest(place.files, place.path(name(list_id)), _LIMIT)


def read(place: Place, list_id: str) -> tuple[Removal, str]:
    """Return a list and its sha256. Raises OSError, ValueError when it is damaged."""
    data = stored.read(place.files, place.path(name(list_id)), _LIMIT)
    removal = Removal.model_validate_json(data)
    are_sound = all(map(_is_sound, removal.records.items()))
    if removal.at.tzinfo is None or not are_sound:
        raise stored.Damaged("is damaged")
    return removal, hashlib.sha256(data).hexdigest()


def _is_sound(entry: tuple[str, Removed]) -> bool:
    run_id, removed = entry
    hashes = (removed.sha256 or "0" * 64, *removed.previous.values())
    return bool(stored.RUN_ID.fullmatch(run_id)) and all(map(seals.SHA256.fullmatch, hashes))


def ids(place: Place) -> Iterator[str]:
    """Yield the ids of the lists in a store, the oldest first."""
    try:
        paths: list[Any] = place.files.ls(place.path(FOLDER), detail=False)
    except FileNotFoundError:
        return
    for path in sorted(paths):
        found = str(path).rstrip("/").rpartition("/")[2].removesuffix(".json")
        if stored.RUN_ID.fullmatch(found):
            yield found
