"""What each schedule leaves in the state folder: when it was first seen, and its newest runs.

Records say the same, but they may be pruned, unreachable, or not there at all, as when a run could
not even begin.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from opsnb.errors import ConfigError
from opsnb.holder import Holder
from opsnb.target import Config, state_home
from opsnb.unattended import Schedule

_KEPT = 100  # starts of a schedule, the newest


class Trace(BaseModel):
    """The newest runs of a schedule on this machine, as its runner noted them."""

    starts: list[AwareDatetime] = Field(default_factory=list)
    """When runs began, the oldest first."""
    finished: AwareDatetime | None = None
    """When the last of them ended; None while it runs, or when it was killed."""
    run_id: str | None = None
    status: str = ""
    exit_code: int | None = None
    sentence: str = ""
    runner: Holder | None = None
    """The process of the last one."""
    refused: AwareDatetime | None = None
    """When one could not begin, newer than all that began."""
    refusal: str = ""
    """Why."""

    @property
    def is_running(self) -> bool:
        """Whether the last one still runs."""
        return bool(self.starts and not self.finished and self.runner and self.runner.is_alive)


def owner(config: Config) -> str:
    """Return what tells the schedules of this `opsnb.toml` from those of another."""
    return hashlib.sha256(str(config.path).encode()).hexdigest()[:8]


def folder() -> Path:
    """Return the folder of the schedules' log, locks and traces. Raises ConfigError."""
    return private_folder(state_home() / "schedule", "the schedules' log")


def private_folder(path: Path, purpose: str) -> Path:
    """Return the folder `path`, made for its owner alone. Raises ConfigError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"The folder of {purpose}, {path}, cannot be made: {error.strerror}. "
            "Make room, or set XDG_STATE_HOME to another folder."
        ) from error
    return path


def write_private(path: Path, value: Any) -> None:
    """Write `value` as JSON for its owner alone; the file appears whole or not at all."""
    descriptor, aside = tempfile.mkstemp(prefix=".", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def read(schedule: Schedule, config: Config) -> Trace:
    """Return the trace of `schedule`; an empty one when there is none that can be read."""
    try:
        return Trace.model_validate_json(_file(schedule, config).read_text(encoding="utf-8"))
    except (OSError, ConfigError, ValidationError, UnicodeDecodeError):
        return Trace()


def begun(schedule: Schedule, config: Config, at: datetime) -> None:
    """Note that a run of `schedule` begins. Only one does at a time."""
    before = read(schedule, config)
    after = Trace(starts=[*before.starts, at][-_KEPT:], runner=Holder.of(os.getpid()))
    _write(schedule, config, after)


def ended(  # noqa: PLR0913 - what is kept of a run
    schedule: Schedule,
    config: Config,
    at: datetime,
    *,
    exit_code: int,
    sentence: str,
    status: str = "",
    run_id: str | None = None,
) -> None:
    """Note how the run that has begun has ended."""
    noted = {"finished": at, "exit_code": exit_code, "sentence": sentence}
    noted |= {"status": status, "run_id": run_id}
    _write(schedule, config, read(schedule, config).model_copy(update=noted))


def refused(schedule: Schedule, config: Config, at: datetime, why: str) -> None:
    """Note that a run could not begin."""
    noted = {"refused": at, "refusal": why}
    _write(schedule, config, read(schedule, config).model_copy(update=noted))


def _write(schedule: Schedule, config: Config, trace: Trace) -> None:
    # A run is worth more than its trace: a full disk must not keep it from happening.
    with suppress(OSError, ConfigError):
        write_private(_file(schedule, config), trace.model_dump(mode="json"))


def _file(schedule: Schedule, config: Config) -> Path:
    return folder() / f"{schedule.name}-{owner(config)}.json"


def first_seen(schedule: Schedule, config: Config, now: datetime) -> datetime:
    """Return since when `schedule` has been there with this cron expression.

    It is noted when it is first asked for: the file's own time is then the latest that it can be.
    """
    with suppress(OSError, ConfigError, ValueError, KeyError, TypeError):
        seen = json.loads(_seen(schedule, config).read_text(encoding="utf-8"))
        if seen["cron"] == schedule.cron:
            return datetime.fromisoformat(seen["since"])
    since = now.astimezone(UTC)
    with suppress(OSError):
        if config.path:
            since = min(since, datetime.fromtimestamp(config.path.stat().st_mtime, UTC))
    with suppress(OSError, ConfigError):
        noted = {"cron": schedule.cron, "since": since.isoformat()}
        write_private(_seen(schedule, config), noted)
    return since


def _seen(schedule: Schedule, config: Config) -> Path:
    return folder() / f"{schedule.name}-{owner(config)}.seen.json"
