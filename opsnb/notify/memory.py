"""What each channel was sent, and so what is news to it.

The memory is a file in the state folder, changed under a lock, so it survives restarts and two runs
never send the same twice. It has a status for each channel, schedule, target and finding.
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
    """The targets and schedules of `opsnb.toml`."""

    targets: Collection[str]
    schedules: Mapping[str, Collection[str]]
    """The targets of each schedule."""


class Memory:
    """What all channels know. Open it with `opened`."""

    def __init__(self, channels: dict[str, dict[str, Known]]) -> None:
        self.channels = channels
        self.failure = ""
        """Why it could not be read or written; messages may then be sent again."""

    def events(self, channel: Notify, observed: Observed, at: datetime) -> list[Event]:
        """Return the events of `observed` that are news to `channel`, and remember them."""
        known = self.channels.setdefault(channel.name, {})
        events = []
        for observation in [*observed.observations, *_gone(known, observed)]:
            if not channel.wants_target(observation.target):
                continue
            key = _key(observed.source, observation.target, observation.name)
            event = _event(known, key, observation, channel, at)
            if key in known:
                known[key].runbook = observed.runbook
            if event:
                events.append(event)
        return events

    def closed(self, channel: Notify, observed: Observed, checks: Checks) -> list[Event]:
        """Return and forget what `channel` knows but nothing checks any more."""
        known = self.channels.setdefault(channel.name, {})
        events = []
        for key, each in list(known.items()):
            source, target, name = key.split("\t", 2)
            why = _why_closed(source, target, each, observed, checks)
            if not why and _is_unconfigured(source, target, name, observed):
                why = "It is no longer checked: opsnb.toml has no such system for the target now."
            if not why:
                continue
            del known[key]
            if channel.recovery and each.told is not Status.OK:
                over = Observation(target, name, each.title, Status.SKIPPED, why, "")
                events.append(Event(Kind.CLOSED, over, each.told, each.since))
        return events

    def forget(self, channels: Collection[str]) -> None:
        """Forget channels that were removed from `opsnb.toml`."""
        self.channels = {name: each for name, each in self.channels.items() if name in channels}


@contextmanager
def opened(path: Path) -> Iterator[Memory]:
    """Yield the memory in the file `path`, locked; it is written at the end.

    If it cannot be written, `failure` says so afterwards. Raises filelock's Timeout when another
    process keeps the lock.
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
    """Return the path of its second copy, as one may get damaged."""
    return path.with_name(f"{path.name}.copy")


def _read(path: Path) -> tuple[dict[str, dict[str, Known]], str]:
    """Return the memory, if necessary from its copy, and an error if both are damaged."""
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
        raise ValueError("a key does not name a finding")
    return found


def _why_closed(source: str, target: str, each: Known, observed: Observed, checks: Checks) -> str:
    """Return why nothing checks any more what `source` reported; empty if something does."""
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


def _is_unconfigured(source: str, target: str, name: str, observed: Observed) -> bool:
    """Whether the same run found the check's system missing from `opsnb.toml`."""
    check = name.split(" ", 1)[0]
    return source == observed.source and (target, check) in observed.unconfigured


def _key(source: str, target: str, name: str) -> str:
    return f"{source}\t{target}\t{name}"


def _gone(known: dict[str, Known], observed: Observed) -> Iterable[Observation]:
    """Yield what a channel knows as bad and a complete run no longer reports."""
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
    status = _as_seen(observation.status, channel)
    if status is None:
        return None
    each = known.get(key)
    if each is None:
        if status is Status.OK:
            return None  # it was never bad
        each = known[key] = Known(since=at)
    each.title = observation.title
    event = advance(each, status, observation, channel, at)
    if each.current is Status.OK and each.told is Status.OK and not recent(each, at):
        del known[key]  # nothing left to remember
    return event


def _as_seen(status: Status, channel: Notify) -> Status | None:
    """Return `status` as `channel` sees it: ok when the channel is not notified of it.

    None means that nothing is known: the check was skipped, or could not run.
    """
    if status in channel.status:
        return status
    return None if status in (Status.SKIPPED, Status.UNKNOWN) else Status.OK
