"""What a restore leaves out because this login may not create it, and how it is reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from opsnb.systems.database.cursor import Connection
from opsnb.systems.database.dumps.contents import Meaning
from opsnb.systems.database.dumps.statements import Statement


@dataclass
class LeftOut:
    """Objects that were not restored as the dump has them, and why."""

    missing: dict[str, str] = field(default_factory=dict)
    """Subject to reason."""
    given: dict[str, list[str]] = field(default_factory=dict)
    """Objects that belong to this login instead of their owner, by owner."""
    last: list[tuple[Statement, Meaning]] = field(default_factory=list)
    """Statements still to be run, when the rows were counted."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.given)

    def add(self, meaning: Meaning, why: str) -> None:
        """Note a statement that failed, unless its object is missing already."""
        if meaning.role == "owner":
            if meaning.subject not in self.missing:
                self.given.setdefault(meaning.owner, []).append(meaning.subject)
        elif not any(meaning.subject.endswith(subject) for subject in self.missing):
            self.missing[meaning.subject] = why

    def sentence(self, login: str) -> str:
        """Return all of it as one sentence, without the full stop."""
        parts = [f"{what} ({why})" for what, why in self.missing.items()]
        left = f"left out: {_listed(parts)}" if parts else ""
        owned = [
            f"{_listed(subjects)} of {owner}" for owner, subjects in sorted(self.given.items())
        ]
        given = f"given to {login}, which is not a member of the owner: " if owned else ""
        text = "; ".join(part for part in (left, given + "; ".join(owned)) if part)
        return text[:1].upper() + text[1:]


def public_owner(server: Connection) -> str:
    """Return who owns the schema public of a database."""
    row = server.execute(
        "SELECT pg_get_userbyid(nspowner) AS name FROM pg_namespace WHERE nspname = 'public'"
    ).fetchone()
    return str(row["name"]) if row else ""


def _listed(words: list[str], most: int = 8) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")
