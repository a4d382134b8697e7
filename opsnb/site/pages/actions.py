"""Actions: who did what, when, on which target, and what it changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from sqlite3 import Row

from opsnb.model import Status
from opsnb.site.context import Page, Site
from opsnb.site.layout import page
from opsnb.site.runs import rows

PATH = "actions.html"
MOST = 200
"""Actions that the page shows."""
_EFFECTS = 3  # findings about what an action changed


@dataclass(frozen=True)
class _Done:
    """One action that was begun."""

    row: Row
    at: datetime
    status: Status
    word: str
    """How far it came."""
    effects: list[tuple[Status, str]]
    """What was measured of its effect."""

    @classmethod
    def of(cls, row: Row) -> _Done:
        status, word = _outcome(row)
        effects = [(Status(found), message) for found, message in json.loads(row["effects"])]
        return cls(row, datetime.fromisoformat(row["at"]), status, word, effects[:_EFFECTS])


def _outcome(row: Row) -> tuple[Status, str]:
    if row["state"] != "applied":
        return Status.CRIT, row["state"]
    if row["verified"] is None:
        return Status.UNKNOWN, "not verified"
    return (Status.OK, "verified") if row["verified"] else (Status.CRIT, "no effect")


def pages(site: Site) -> Iterator[Page]:
    """Yield the page of the actions."""
    yield Page(PATH, partial(_actions, site))


def _actions(site: Site) -> str:
    found = [_Done.of(row) for row in rows(site.store.index, "done", most=MOST)]
    (total,) = rows(site.store.index, "counted_actions")
    return page(
        "actions",
        path=PATH,
        title="Actions",
        tab="Actions",
        actions=found,
        left_out=total["actions"] - len(found),
    )
