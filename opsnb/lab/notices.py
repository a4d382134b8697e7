"""What the server reports to the pages of JupyterLab: sentences, and which targets are locked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_NOTICE, _LOCK = "urn:opsnb:notice", "urn:opsnb:lock"  # the pages listen for them
_SCHEMAS = (
    {
        "$id": _NOTICE,
        "version": "1",
        "title": "A sentence for the user",
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "type": {"enum": ["info", "warning", "error"]},
            "path": {"type": "string", "description": "The notebook that it concerns."},
            "topic": {"enum": ["record", "lock"]},
        },
    },
    {
        "$id": _LOCK,
        "version": "1",
        "title": "The targets that this JupyterLab keeps locked for others",
        "type": "object",
        "properties": {
            "targets": {"type": "array", "items": {"type": "string"}},
            "seconds": {"type": "number", "description": "An idle kernel keeps them so long."},
        },
    },
)


class Notices:
    """Emits events of the server that the pages listen for."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._failed: dict[str, str] = {}
        """What was reported about the working copies whose last save has no record."""
        for schema in _SCHEMAS:
            events.register_event_schema(schema)

    def say(self, message: str, kind: str, path: str, *, topic: str = "record") -> None:
        """Show a sentence about the notebook at `path`; `kind` is info, warning or error."""
        data = {"message": message, "type": kind, "path": path, "topic": topic}
        self._events.emit(schema_id=_NOTICE, data=data)

    def failed(self, path: str, why: str) -> None:
        """Report once that a save has no record; autosaves would repeat it every few seconds."""
        if self._failed.get(path) != why:
            self._failed[path] = why
            self.say(
                f"{path} is saved, but its record is not: {why} The next save tries again.",
                "error",
                path,
            )

    def saved(self, path: str, new_run_id: str | None) -> None:
        """Report that a save has its record again, or has made a new one."""
        if self._failed.pop(path, None):
            self.say(f"The record of {path} is up to date again.", "info", path)
        elif new_run_id:
            self.say(f"Recorded as {new_run_id}; each save updates the record.", "info", path)

    def locked(self, targets: Iterable[str], idle_s: float) -> None:
        """Report which targets are locked for others, until a kernel has been idle for so long."""
        data = {"targets": sorted(targets), "seconds": idle_s}
        self._events.emit(schema_id=_LOCK, data=data)
