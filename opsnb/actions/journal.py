"""The journal of a run's actions: written before each step, and read after an interruption.

The environment names two files. `OPSNB_JOURNAL` is where this run's actions are written;
`OPSNB_RESUME` holds what the run did that this one continues. A notebook in a JupyterLab that opsnb
did not start has neither: its outputs are its journal.

While a person runs the cells one by one, the target is not locked from the start. An action then
asks for the lock through a folder beside the journal.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from opsnb.errors import Locked, RunBroke
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord
from opsnb.view.formats import number, utc

JOURNAL, RESUME = "OPSNB_JOURNAL", "OPSNB_RESUME"
_TURN_LIMIT_S = 60.0
_TURN_POLL_S = 0.05


class Journal:
    """A file to which the changes of actions are appended; `read` puts them together."""

    def __init__(self, path: Path | None = None) -> None:
        """Without a path nothing is written."""
        self._path = path
        self._written: dict[str, dict[str, Any]] = {}

    @classmethod
    def of_run(cls) -> Self:
        """Return the journal of the run that this kernel belongs to."""
        path = os.environ.get(JOURNAL)
        return cls(Path(path) if path else None)

    def write(self, record: ActionRecord, *, sync: bool = True) -> None:
        """Append the changes of `record`, which holds no secrets. Raises OSError.

        With `sync` they are on the disk afterwards; else they survive only this process.
        """
        if self._path is None:
            return
        now, before = record.model_dump(mode="json"), self._written.get(record.id, {})
        news = {name: value for name, value in now.items() if value != before.get(name, ...)}
        with self._path.open("ab") as file:
            # On a new line, as a full disk may have truncated the last one.
            file.write(f"\n{json.dumps({**news, 'id': record.id})}\n".encode())
            file.flush()
            if sync:
                os.fsync(file.fileno())
        self._written[record.id] = now


def turns(journal: Path) -> Path:
    """Return the folder in which actions of a journal's kernel ask for the lock."""
    return journal.with_name("turns")


def take_turn(target: str) -> None:
    """Get the lock of `target` before an action begins. Raises Locked when another run has it.

    Only in JupyterLab, which holds the locks; a headless run holds the lock from the start.
    """
    path = os.environ.get(JOURNAL)
    if not path or not (folder := turns(Path(path))).is_dir():
        return
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    answer = folder / f"{name}.answer"
    try:
        _put(folder / f"{name}.ask", target)
        if not any(answer.exists() for _ in attempts(_TURN_LIMIT_S, _TURN_POLL_S)):
            raise Locked(
                f"JupyterLab did not say within {_TURN_LIMIT_S:.0f} s whether {target} is "
                "locked, so nothing was changed. Run the cell again, or start opsnb lab again."
            )
        refusal = answer.read_text(encoding="utf-8")
    except OSError as error:
        raise Locked(
            f"JupyterLab cannot be asked whether {target} is locked: {error}. Nothing was changed."
        ) from error
    finally:
        for used in (folder / f"{name}.ask", answer):
            with suppress(OSError):
                used.unlink()
    if refusal:
        raise Locked(refusal)


def give_turns(journal: Path, lock: Callable[[str], str]) -> None:
    """Answer actions that ask; `lock` takes a target's lock, or returns why it cannot.

    Raises OSError.
    """
    for ask in turns(journal).glob("*.ask"):
        answer = ask.with_suffix(".answer")
        if answer.exists():
            continue
        target = ask.read_text(encoding="utf-8")
        _put(answer, lock(target))


def _put(path: Path, text: str) -> None:
    """Write a file atomically."""
    aside = path.with_suffix(".tmp")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def read(path: Path) -> list[ActionRecord]:
    """Return the last recorded state of each action in the journal at `path`."""
    records: dict[str, dict[str, Any]] = {}
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # incomplete: its writer was killed
                news = json.loads(line)
                records.setdefault(news["id"], {}).update(news)
    return [ActionRecord.model_validate(record) for record in records.values()]


def progress(record: ActionRecord, reason: str) -> str:
    """Return why an action stopped, and how much of it is done."""
    again = "; run it again to finish the rest" if record.applied else ""
    done = f"{record.applied:,} of {number(record.planned, record.unit)} done{again}"
    return f"{reason.rstrip('.')}. {done}."


def interrupted(former: ActionRecord) -> str:
    """Return which run was interrupted in an action, when, and how much is known to be done."""
    return (
        f"run {former.continues} was interrupted in it{ended_at(former)}, with {former.applied:,} "
        f"of {former.planned:,} {former.unit} known to be done"
    )


def ended_at(former: ActionRecord) -> str:
    """Return when an action ended, or began if that is unknown: ` at 2026-01-31 10:00:05 UTC`."""
    at = former.finished or former.started
    return f" at {utc(at)}" if at else ""


class Continued(BaseModel):
    """What a kernel knows of the run that its own run continues."""

    run_id: str
    command: str
    """Runs its runbook again, without applying anything."""
    actions: list[ActionRecord]
    """Its actions and those of the runs that it continued, each with its run in `continues`."""

    def take(self, record: ActionRecord) -> ActionRecord | None:
        """Return the former journal of the action that `record` begins; None without one.

        It has the same name, target and arguments. Each is returned once, in order.
        """
        for former in self.actions:
            if same_action(former) == same_action(record):
                self.actions.remove(former)
                return former
        return None


def same_action(record: ActionRecord) -> tuple[str, str, str]:
    """Return what identifies an action in a run and in the one that it continues."""
    return record.target, record.name, json.dumps(record.arguments, sort_keys=True)


def continued() -> Continued | None:
    """Return the run that this kernel's run continues, always the same object; None without one.

    Raises RunBroke when its file cannot be read.
    """
    path = os.environ.get(RESUME)
    return _continued(path) if path else None


@cache
def _continued(path: str) -> Continued:
    try:
        return Continued.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunBroke(
            f"What the run did that is to be continued cannot be read from {path}, so nothing was "
            "begun; give the same command again."
        ) from error
