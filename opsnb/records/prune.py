"""Remove old records by rules, so that `verify` knows of it.

Nothing is removed of an incident, of a run that is still open, or of the newest records, whose
seals the next record names. What is removed is listed first (`removals`), with its seals.
"""

from __future__ import annotations

import hashlib
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from opsnb.config.schema import Keep
from opsnb.errors import RunBroke
from opsnb.machine.holder import operator
from opsnb.model import now
from opsnb.records import atomic, removals, seals, stored
from opsnb.records.history import SQL
from opsnb.records.index import statement
from opsnb.records.store import Store, new_run_id
from opsnb.records.stored import NOTEBOOK, RESULT
from opsnb.view.formats import span

_PAGE = 1000  # records whose rows are in memory at once
_IN_A_LIST = 500
_LATER = "~"  # sorts behind every run id
_LIST_OF, _LIST_IN = "records/prune", "store"  # what the ids of lists are made of


@dataclass(frozen=True)
class Old:
    """A record that a rule removes."""

    run_id: str
    outcome: str
    trigger: str
    rule: Keep


def old(store: Store, rules: Sequence[Keep], at: datetime | None = None) -> Iterator[Old]:
    """Yield the records that `rules` remove, the newest first; ages are relative to `at`.

    Raises RunBroke when the store cannot be read.
    """
    at = at or now()
    kept: Counter[tuple[Keep, str, str]] = Counter()
    with store.place.mapped_errors("read"):
        heads = {head.run_id for head in store.heads.current()}
    for row in _rows(store):
        rule = next((rule for rule in rules if _fits(rule, row)), None)
        if rule is None:
            continue
        kept[rule, row["runbook"], row["target"]] += 1
        is_young = at - datetime.fromisoformat(row["started"]) < timedelta(days=rule.days)
        is_new = kept[rule, row["runbook"], row["target"]] <= rule.newest
        is_needed = row["incident"] or row["open"] or row["run_id"] in heads
        if not (is_young or is_new or is_needed):
            yield Old(row["run_id"], row["outcome"], row["trigger"], rule)


def words(rule: Keep) -> str:
    """Return a rule in words."""
    which = " or ".join(rule.status) or "any status"
    begun = "" if rule.trigger == "*" else f", begun by {rule.trigger}"
    age = f", older than {span(timedelta(days=rule.days))}" if rule.days else ""
    but = f", but not the newest {rule.newest:,} of each runbook and target" if rule.newest else ""
    return f"{which}{begun}{age}{but}"


def remove(store: Store, found: Sequence[Old]) -> Iterator[str]:
    """Remove records, and yield the run id of each one that is gone.

    Those that are open, belong to an incident or cannot be read by now are left alone. Raises
    RunBroke when the store cannot be written.
    """
    for rule in dict.fromkeys(each.rule for each in found):
        run_ids = (each.run_id for each in found if each.rule == rule)
        while some := list(islice(run_ids, _IN_A_LIST)):
            yield from _remove(store, rule, some)


def _remove(store: Store, rule: Keep, run_ids: Sequence[str]) -> Iterator[str]:
    records = {}
    with store.place.mapped_errors("written"):
        for run_id in run_ids:
            with suppress(OSError, ValueError):
                if removed := _removable(store, run_id):
                    records[run_id] = removed
        if not records:
            return
        note(store, words(rule), records)
        for run_id in records:
            with suppress(FileNotFoundError):  # removed by another process
                _remove_record(store, run_id)
                yield run_id


def _removable(store: Store, run_id: str) -> removals.Removed | None:
    """Return the seal of a record as it is now; None when it must stay."""
    path = store.place.record(run_id, RESULT)
    fields = from_json(stored.read(store.place.files, path, stored.RESULT_LIMIT))
    if fields.get("incident") or fields.get("open"):
        return None
    seal = seals.parsed(fields)
    if seal is None:
        return removals.Removed()
    return removals.Removed(sha256=seal.sha256, at=seal.at, previous=seal.previous)


def note(
    store: Store,
    reason: str,
    records: dict[str, removals.Removed],
    accepted: dict[str, str] | None = None,
) -> None:
    """Write a list of removed and accepted records, as a link of the chain of seals.

    Raises RunBroke when the store cannot be written.
    """
    with store.place.mapped_errors("written"):
        draft = seals.drafted(store.heads.current())
        removal = removals.Removal(
            operator=operator(),
            host=socket.gethostname(),
            reason=reason,
            at=draft.at,
            previous=draft.previous,
            records=records,
            accepted=accepted or {},
        )
        text = removal.model_dump_json(indent=1) + "\n"
        list_id = new_run_id(_LIST_OF, _LIST_IN, draft.at)
        digest = hashlib.sha256(text.encode()).hexdigest()
        with store.heads.joined(list_id, draft, digest):
            if not store.shared.create(removals.name(list_id), text):
                raise RunBroke(f"{removals.name(list_id)} exists already. Run it again.")


def _remove_record(store: Store, run_id: str) -> None:
    if store.place.folder:
        atomic.remove_folder(store.place.folder, Path(store.place.record(run_id)))
        return
    # Killed in between, the next prune finds its result again.
    store.place.files.rm_file(store.place.record(run_id, NOTEBOOK))
    store.place.files.rm(store.place.record(run_id), recursive=True)


def _fits(rule: Keep, row: Any) -> bool:
    fits = not rule.status or row["status"] in rule.status or row["outcome"] in rule.status
    return fits and fnmatchcase(row["trigger"], rule.trigger)


def _rows(store: Store) -> Iterator[Any]:
    store.index.refresh()
    store.broken |= store.index.unread
    before = _LATER
    while page := store.index.read(statement("prunable", SQL), {"before": before, "page": _PAGE}):
        yield from page
        before = page[-1]["run_id"]
