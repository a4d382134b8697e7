"""Messages that wait for their channel: one private file each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsnb.config.file import Config
from opsnb.config.places import state_home
from opsnb.errors import ConfigError
from opsnb.machine import private_files
from opsnb.notify.message import Message
from opsnb.timetable.traces import owner, private_folder

KEPT_FOR = timedelta(days=3)
_MOST = 100  # per channel; the oldest are dropped


@dataclass
class Waiting:
    """A message that has not been delivered."""

    path: Path
    message: Message
    queued: datetime
    attempts: int = 0
    answer: str = ""
    """The last response of the channel."""

    def failed(self, answer: str) -> None:
        """Keep it for the next attempt."""
        self.attempts += 1
        self.answer = answer
        _write(self)

    def delivered(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)

    @property
    def is_too_old(self) -> bool:
        """Whether it is too old to deliver."""
        return datetime.now(UTC) - self.queued > KEPT_FOR


def home(config: Config) -> Path:
    """Return the folder of the notifications of this `opsnb.toml`; it may not exist."""
    name = f"notify/{owner(config)}"
    try:
        return private_folder(name)
    except ConfigError:
        return state_home() / name


def folder(config: Config, channel: str) -> Path:
    """Return the folder of a channel's messages. Raises ConfigError."""
    return private_folder(f"notify/{owner(config)}/spool/{channel}")


def add(config: Config, channel: str, message: Message, at: datetime) -> Waiting:
    """Add `message` to the spool of `channel`. Raises OSError or ConfigError."""
    place = folder(config, channel)
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    name = f"{stamp}-{message.run_id or message.schedule or 'message'}.json"
    waiting = Waiting(place / name.replace("/", "."), message, at.astimezone(UTC))
    for oldest in _files(place)[: -(_MOST - 1)]:
        oldest.unlink(missing_ok=True)
    _write(waiting)
    return waiting


def waiting(config: Config, channel: str) -> Iterator[Waiting]:
    """Yield the messages that wait for `channel`, oldest first; damaged files are removed."""
    for path in _files(folder(config, channel)):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            yield Waiting(
                path,
                Message.from_json(stored["message"]),
                datetime.fromisoformat(stored["queued"]),
                int(stored["attempts"]),
                str(stored["answer"]),
            )
        except FileNotFoundError:
            continue  # another process delivered it
        except (OSError, ValueError, KeyError, TypeError):
            with suppress(OSError):
                path.unlink()


def channels(config: Config) -> list[str]:
    """Return the channels with waiting messages, including channels that were removed."""
    try:
        places = sorted((home(config) / "spool").iterdir())
    except OSError:
        return []
    return [place.name for place in places if _files(place)]


def drop_gone(config: Config) -> None:
    """Remove the messages of channels that were removed from `opsnb.toml`."""
    known = {channel.name for channel in config.notify}
    for name in channels(config):
        if name not in known:
            for path in _files(home(config) / "spool" / name):
                path.unlink(missing_ok=True)


def count(config: Config, channel: str) -> int:
    """Return how many messages wait for `channel`."""
    return len(_files(home(config) / "spool" / channel))


def _files(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.suffix == ".json")
    except OSError:
        return []


def _write(waiting: Waiting) -> None:
    kept = {
        "message": waiting.message.as_json(),
        "queued": waiting.queued.isoformat(),
        "attempts": waiting.attempts,
        "answer": waiting.answer,
    }
    private_files.write(waiting.path, json.dumps(kept))
