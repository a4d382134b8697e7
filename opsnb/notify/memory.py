"""What each channel has been told, and so what is new to it.

The memory is one file in the state folder, changed under a lock, so that it survives restarts and
two runners at once never tell the same twice. It knows a status for each channel, schedule, target
and finding.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from opsnb.config.unattended import Notify
from opsnb.machine import private_files
from opsnb.model import Status
from opsnb.notify.known import Event, Kind, Known, advance, recent
from opsnb.notify.observations import Observation, Observed

_LOCK_WAIT_S = 5.0
_TABS = 2  # in a key


@dataclass(frozen=True)
class Checks:
    """What `opsnb.toml` has checked."""

    targets: Collection[str]
    schedules: Mapping[str, Collection[str]]
    """The targets of each schedule."""


class Memory:
    """What every channel knows. Open it with `opened`."""

    def __init__(self, channels: dict[str, dict[str, Known]]) -> None:
        self.channels = channels
        self.failure = ""
        """Why it could not be read or written, so that what was sent may be sent again."""

    def events(self, channel: Notify, observed: Observed, at: datetime) -> list[Event]:
        """Return what of `observed` is new to `channel`, which then knows it."""
        known = self.channels.setdefault(channel.name, {})
        found = []
        for observation in [*observed.observations, *_gone(known, observed)]:
            if not channel.wants_target(observation.target):
                continue
            key = _key(observed.source, observation.target, observation.name)
            event = _event(known, key, observation, channel, at)
            if key in known:
                known[key].runbook = observed.runbook
            if event:
                found.append(event)
        return found

    def closed(self, channel: Notify, observed: Observed, checks: Checks) -> list[Event]:
        """Return what `channel` was told of and nothing checks any more; it is forgotten."""
        known = self.channels.setdefault(channel.name, {})
        found = []
        for key, each in list(known.items()):
            source, target, name = key.split("\t", 2)
            why = _why_closed(source, target, each, observed, checks)
            if not why:
                continue
            del known[key]
            if channel.recovery and each.told is not Status.OK:
                over = Observation(target, name, each.title, Status.SKIPPED, why, "")
                found.append(Event(Kind.CLOSED, over, each.told, each.since))
        return found

    def forget(self, channels: Collection[str]) -> None:
        """Forget channels that `opsnb.toml` has no more."""
        self.channels = {name: each for name, each in self.channels.items() if name in channels}


@contextmanager
def opened(path: Path) -> Iterator[Memory]:
    """Yield the memory in the file `path`, locked; it is written at the end.

    Where nothing can be written, `failure` says so afterwards. Raises filelock's Timeout when
    another process does not release it.
    """
    with ExitStack() as held:
        memory = Memory({})
        try:
            held.enter_context(FileLock(f"{path}.lock", timeout=_LOCK_WAIT_S, mode=0o600))
        except Timeout:
            raise
        except OSError as error:
            memory.failure = _unwritable(path, error)
        memory.channels, damage = _read(path)
        memory.failure = memory.failure or damage
        yield memory
        kept = {
            channel: {key: each.model_dump(mode="json") for key, each in known.items()}
            for channel, known in memory.channels.items()
        }
        try:
            for place in (path, _copy_of(path)):
                private_files.write(place, json.dumps(kept))
        except OSError as error:
            memory.failure = _unwritable(path, error)


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path.parent} cannot be written ({error.strerror or error})"


def _copy_of(path: Path) -> Path:
    """Return where the memory lies a second time, for a disk may damage one of them."""
    return path.with_name(f"{path.name}.copy")


def _read(path: Path) -> tuple[dict[str, dict[str, Known]], str]:
    """Return the memory, from its copy when it is damaged, and what is wrong when both are."""
    damaged = False
    for place in (path, _copy_of(path)):
        try:
            return _parsed(place.read_text(encoding="utf-8")), ""
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, RecursionError):
            damaged = True
    return {}, f"{path} is damaged" if damaged else ""


def _parsed(text: str) -> dict[str, dict[str, Known]]:
    stored: dict[str, Any] = json.loads(text)
    found = {
        channel: {key: Known.model_validate(each) for key, each in known.items()}
        for channel, known in stored.items()
    }
    if any(key.count("\t") < _TABS for known in found.values() for key in known):
        raise ValueError("a key of it names no finding")
    return found


def _why_closed(source: str, target: str, each: Known, observed: Observed, checks: Checks) -> str:
    """Return why nothing checks any more what `source` reported; empty when something does."""
    kind, _, name = source.partition(" ")
    if kind != "schedule":
        return "" if target in checks.targets else "The target is no longer in opsnb.toml."
    if name not in checks.schedules:
        return f"Schedule {name} is no longer in opsnb.toml."
    if target not in checks.schedules[name]:
        gone = target not in checks.targets
        return (
            "The target is no longer in opsnb.toml."
            if gone
            else f"Schedule {name} no longer checks it."
        )
    if source == observed.source and each.runbook not in ("", observed.runbook):
        return f"Schedule {name} now runs {observed.runbook}, no longer {each.runbook}."
    return ""


def _key(source: str, target: str, name: str) -> str:
    return f"{source}\t{target}\t{name}"


def _gone(known: dict[str, Known], observed: Observed) -> Iterable[Observation]:
    """Yield what a channel knows as bad and a run that came to its end does not report any more."""
    seen = {(each.target, each.name) for each in observed.observations}
    for key, each in known.items():
        source, target, name = key.split("\t", 2)
        bad = each.flapping or {each.told, each.current} != {Status.OK}
        if (
            source == observed.source
            and target in observed.complete
            and (target, name) not in seen
            and (target, name.split(" ", 1)[0]) not in observed.unsettled
            and bad
        ):
            words = "The run no longer reports it."
            yield Observation(target, name, each.title, Status.OK, words, "")


def _event(
    known: dict[str, Known], key: str, observation: Observation, channel: Notify, at: datetime
) -> Event | None:
    status = _as_heard(observation.status, channel)
    if status is None:
        return None
    each = known.get(key)
    if each is None:
        if status is Status.OK:
            return None  # nothing has ever been wrong
        each = known[key] = Known(since=at)
    each.title = observation.title
    event = advance(each, status, observation, channel, at)
    if each.current is Status.OK and each.told is Status.OK and not recent(each, at):
        del known[key]  # nothing is left to be remembered
    return event


def _as_heard(status: Status, channel: Notify) -> Status | None:
    """Return `status` as `channel` hears it: ok when it is milder than what it is told of.

    None says nothing either way: a check that was skipped, or could not be made.
    """
    if status in channel.status:
        return status
    return None if status in (Status.SKIPPED, Status.UNKNOWN) else Status.OK
