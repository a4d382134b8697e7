"""The seal of a record: what the record holds, and which records came before it.

`result.json` ends with it:

    "seal": {"sha256": ..., "notebook_sha256": ..., "at": ..., "previous": {run_id: sha256, ...}}

`sha256` is that of the bytes of `result.json` with zeros in its own place, so a change of one byte
in either file shows. `previous` names every record that no other one named when this was written
(`heads` finds them); so a record that is removed, or put in later, shows as well. Whoever can write
the store can also rewrite the seals from some record to the last one: keep a copy of the newest
seal elsewhere if that matters.

The notebook holds `at` and `previous` too, and so the seal can be made again from it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from opsnb.model import RunResult, Seal, now
from opsnb.records.stored import NOTEBOOK, RESULT

SHA256 = re.compile(r"[0-9a-f]{64}")
NOT_IN_NOTEBOOK = {"sha256", "notebook_sha256"}
"""What the notebook of a record cannot hold of its seal."""
_BLANK = b"0" * 64
# Inside a string, the quotes would be escaped. The last one counts: it is at the end of the file.
_PLACE = re.compile(rb'"seal": \{\s*"sha256": "([0-9a-f]{64})"')
_ABSURD = timedelta(days=1)


@dataclass(frozen=True)
class Sealed:
    """A record, or a list of removed ones, as others name it."""

    run_id: str
    sha256: str
    at: datetime


def drafted(heads: Iterable[Sealed]) -> Seal:
    """Return the seal, without its hashes, of what is written now and names `heads`.

    Clocks differ between machines: it is not older than what it names, unless a clock is absurd.
    """
    named = list(heads)
    latest = now()
    times = [head.at for head in named if head.at < latest + _ABSURD]
    return Seal(
        at=max([latest, *times]), previous={head.run_id: head.sha256 for head in sorted_(named)}
    )


def sorted_(heads: Iterable[Sealed]) -> list[Sealed]:
    """Return `heads` in the order in which they were written."""
    return sorted(heads, key=lambda head: (head.at, head.run_id))


def seal_files(files: dict[str, bytes], result: RunResult) -> None:
    """Complete the seal in the files of a record, and that of `result`, which they were made of."""
    if result.seal is None:
        return
    notebook_sha256 = hashlib.sha256(files[NOTEBOOK]).hexdigest()
    files[RESULT] = completed(files[RESULT], notebook_sha256)
    result.seal.notebook_sha256 = notebook_sha256
    result.seal.sha256 = claimed(files[RESULT])


def completed(data: bytes, notebook_sha256: str) -> bytes:
    """Return the content of a `result.json` whose seal has no hashes yet, with them."""
    empty = b'"sha256": "", "notebook_sha256": ""'
    before, _, after = data.rpartition(empty)
    filled = b'"sha256": "%s", "notebook_sha256": "%s"'
    notebook = notebook_sha256.encode()
    digest = hashlib.sha256(before + filled % (_BLANK, notebook) + after).hexdigest()
    return before + filled % (digest.encode(), notebook) + after


def claimed(data: bytes) -> str:
    """Return the sha256 in the seal of a `result.json`; empty when it has none."""
    places = list(_PLACE.finditer(data))
    return places[-1][1].decode() if places else ""


def holds(data: bytes) -> bool:
    """Return whether the content of a sealed `result.json` is as it was sealed."""
    places = list(_PLACE.finditer(data))
    if not places:
        return False
    start, end = places[-1].span(1)
    found = hashlib.sha256(data[:start] + _BLANK + data[end:]).hexdigest()
    return found.encode() == places[-1][1]


def parsed(fields: Any) -> Seal | None:
    """Return the seal in a parsed `result.json`; None when it has none. Raises ValueError."""
    found = fields.get("seal") if isinstance(fields, dict) else None
    if found is None:
        return None
    seal = Seal.model_validate(found)
    if seal.at.tzinfo is None or not all(map(SHA256.fullmatch, seal.previous.values())):
        raise ValueError("its seal is damaged")
    return seal


def as_text(head: Sealed) -> str:
    """Return what the marker of `head` holds; its name is the sha256."""
    return json.dumps({"run_id": head.run_id, "at": head.at.astimezone(UTC).isoformat()})


def from_text(sha256: str, text: str) -> Sealed | None:
    """Return the head of the marker named `sha256`; None when `text` is none."""
    try:
        fields = json.loads(text)
        head = Sealed(str(fields["run_id"]), sha256, datetime.fromisoformat(fields["at"]))
    except (ValueError, TypeError, KeyError):
        return None
    return head if head.at.tzinfo else None
