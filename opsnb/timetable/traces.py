"""Traces of schedules in the state folder: when each was first seen, and its newest runs.

Records hold the same, but they may be pruned, unreachable, or missing when a run could not begin.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from opsnb.config.file import Config
from opsnb.config.places import state_folder, state_home
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError
from opsnb.machine import private_files
from opsnb.machine.holder import Holder

_KEPT = 100  # the newest starts of a schedule


class Trace(BaseModel):
    """The newest runs of a schedule on this machine."""

    starts: list[AwareDatetime] = Field(default_factory=list)
    """When runs began, oldest first."""
    finished: AwareDatetime | None = None
    """When the last run ended; None while it is running, or if it was killed."""
    run_id: str | None = None
    status: str = ""
    exit_code: int | None = None
    sentence: str = ""
    runner: Holder | None = None
    """The process of the last run."""

    @property
    def is_running(self) -> bool:
        """Whether the last run is still running."""
        return bool(self.starts and not self.finished and self.runner and self.runner.is_alive)


def owner(config: Config) -> str:
    """Return an id of this `opsnb.toml`, which keeps its schedules apart from those of others."""
    return hashlib.sha256(str(config.path).encode()).hexdigest()[:8]


def folder() -> Path:
    """Return the folder of the schedules' log, locks and traces. Raises ConfigError."""
    return private_folder("schedule")


def private_folder(name: str) -> Path:
    """Return a private folder in the state folder, created if necessary. Raises ConfigError.

    `name` may be a path, such as `notify/spool`; all of its folders are private.
    """
    try:
        for above in reversed(Path(name).parents[:-1]):
            state_folder(str(above))
        return state_folder(name)
    except OSError as error:
        raise ConfigError(
            f"The folder {state_home() / name} cannot be created: {error.strerror}. "
            "Free space there, or set XDG_STATE_HOME to another folder."
        ) from error


def read(schedule: Schedule, config: Config) -> Trace:
    """Return the trace of `schedule`; an empty one if it is missing or unreadable."""
    try:
        return Trace.model_validate_json(_file(schedule, config).read_text(encoding="utf-8"))
    except (OSError, ConfigError, ValidationError, UnicodeDecodeError):
        return Trace()


def begun(schedule: Schedule, config: Config, at: datetime) -> None:
    """Note that a run of `schedule` begins; only one runs at a time."""
    before = read(schedule, config)
    after = Trace(starts=[*before.starts, at][-_KEPT:], runner=Holder.of(os.getpid()))
    _write(schedule, config, after)


def ended(  # noqa: PLR0913 - the fields of a trace
    schedule: Schedule,
    config: Config,
    at: datetime,
    *,
    exit_code: int,
    sentence: str,
    status: str = "",
    run_id: str | None = None,
) -> None:
    """Note how the run ended."""
    noted = {"finished": at, "exit_code": exit_code, "sentence": sentence}
    noted |= {"status": status, "run_id": run_id}
    _write(schedule, config, read(schedule, config).model_copy(update=noted))


class Refusal(BaseModel):
    """When and why a run could not begin; in its own file, as another run may be in progress."""

    at: AwareDatetime
    why: str


def refused(schedule: Schedule, config: Config, at: datetime, why: str) -> None:
    """Note that a run could not begin."""
    _write(schedule, config, Refusal(at=at, why=why), ".refused")


def refusal(schedule: Schedule, config: Config) -> Refusal | None:
    """Return the last run that could not begin, if any."""
    try:
        text = _file(schedule, config, ".refused").read_text(encoding="utf-8")
        return Refusal.model_validate_json(text)
    except (OSError, ConfigError, ValidationError, UnicodeDecodeError):
        return None


def _write(schedule: Schedule, config: Config, noted: BaseModel, kind: str = "") -> None:
    # A full disk must not keep a run from happening.
    with suppress(OSError, ConfigError):
        private_files.write(_file(schedule, config, kind), noted.model_dump_json())


def _file(schedule: Schedule, config: Config, kind: str = "") -> Path:
    """Return a file of `schedule`. Raises ConfigError if its folder cannot be created."""
    return folder() / f"{schedule.name}-{owner(config)}{kind}.json"


def first_seen(schedule: Schedule, config: Config, now: datetime) -> datetime:
    """Return since when `schedule` has had this cron expression.

    That is noted at the first call, as at the latest the time of opsnb.toml.
    """
    with suppress(OSError, ConfigError, ValueError, KeyError, TypeError):
        seen = json.loads(_file(schedule, config, ".seen").read_text(encoding="utf-8"))
        noted_since = datetime.fromisoformat(seen["since"])
        if seen["cron"] == schedule.cron and noted_since <= now:  # else the clock was set back
            return noted_since
    since = now.astimezone(UTC)
    with suppress(OSError):
        if config.path:
            since = min(since, datetime.fromtimestamp(config.path.stat().st_mtime, UTC))
    with suppress(OSError, ConfigError):
        noted = {"cron": schedule.cron, "since": since.isoformat()}
        private_files.write(_file(schedule, config, ".seen"), json.dumps(noted))
    return since
