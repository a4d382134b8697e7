"""What cron calls: run a schedule's runbook, one line in the log for each run."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from opsnb import catalog
from opsnb.catalog import RunbookInfo
from opsnb.errors import ConfigError, Locked, OpsnbError, ParameterError, did_you_mean
from opsnb.headless import fleet
from opsnb.headless.run import Order
from opsnb.headless.run import run as run_one
from opsnb.model import RunResult
from opsnb.records.show import worst_sentence
from opsnb.schedule.times import last_time
from opsnb.target import Config, Schedule, load_config, stand_in, state_home

_LOG_BYTES, _LOGS_KEPT = 1_000_000, 3
_OWN_KEYS = ("target", "apply", "confirm")
_READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True)
class Job:
    """A schedule that can be run: its runbook, targets and parameters are known and checked."""

    schedule: Schedule
    runbook: RunbookInfo
    targets: list[str]
    parameters: dict[str, Any]
    """Of the run on the first target."""


def trigger(schedule: Schedule) -> str:
    """Return how the records of a schedule's runs say what started them."""
    return f"schedule {schedule.name}"


def find(config: Config, name: str) -> Schedule:
    """Return the schedule `name`. Raises ConfigError with the nearest."""
    known = {schedule.name: schedule for schedule in config.schedules}
    if name not in known:
        raise ConfigError(
            f"There is no schedule '{name}' in {config.path or 'opsnb.toml'}."
            + (did_you_mean(name, known) or " Write a [[schedules]] table there.")
        )
    return known[name]


def job(schedule: Schedule, config: Config) -> Job:
    """Check all that `schedule` names. Raises UsageError with one sentence on what is wrong."""
    where = f"Schedule {schedule.name}: "
    try:
        runbook = catalog.runbook(schedule.runbook)
        targets = config.matching(schedule.targets)
        for key in _OWN_KEYS:
            if key in schedule.parameters:
                raise ParameterError(f"write {key} beside parameters, not in it.")
        if schedule.apply and not runbook.acts:
            raise ParameterError(f"{runbook.id} changes nothing; leave apply out.")
        own: dict[str, Any] = {"target": targets[0]}
        if schedule.apply:
            own |= {"apply": True}
        if targets[0] in schedule.confirm:
            own |= {"confirm": targets[0]}
        return Job(schedule, runbook, targets, runbook.validate({**schedule.parameters, **own}))
    except OpsnbError as error:
        raise type(error)(f"{where}{error}") from error
    except IndexError:
        raise ConfigError(f'{where}it has no targets; write targets = ["NAME"].') from None


def prepare(name: str, environment: Path | None) -> Config:
    """Return the configuration in force, with the variables of the file `environment` in it.

    Raises ConfigError; it is in the log of the schedule `name` too, for nobody sees cron's screen.
    """
    with _logged(name):
        if environment:
            os.environ.update(read_environment(environment))
        return load_config()


def run(name: str, config: Config, now: datetime, stopped: Sequence[signal.Signals]) -> RunResult:
    """Run the schedule `name`, log it, and return its result, or the summary of several.

    `now` knows its time zone. Raises Locked while the same schedule still runs; whatever is
    raised is logged too.
    """
    with _logged(name) as log:
        schedule = find(config, name)
        wanted = job(schedule, config)
        with _alone(schedule, config):
            result = _run(wanted, config, last_time(schedule, now), stopped)
        log.info(
            "%s run=%s exit=%d %s", name, result.run_id, result.exit_code, worst_sentence(result)
        )
        return result


def _run(
    wanted: Job, config: Config, due: datetime | None, stopped: Sequence[signal.Signals]
) -> RunResult:
    schedule = wanted.schedule
    several = wanted.targets != list(schedule.targets[:1])
    target = stand_in(schedule.targets) if several else config.target(wanted.targets[0])
    order = Order(
        wanted.runbook,
        target,
        wanted.parameters,
        schedule.timeout,
        trigger=trigger(schedule),
        scheduled=due,
    )
    if several:
        return fleet.run(order, wanted.targets, config, stopped, confirmed=schedule.confirm)
    return run_one(order, config, stopped)


@contextmanager
def _alone(schedule: Schedule, config: Config) -> Iterator[None]:
    """Let no two runs of a schedule overlap."""
    try:
        with FileLock(lock_file(schedule, config), timeout=0):
            yield
    except Timeout:
        raise Locked(
            f"Schedule {schedule.name} still runs from before; it is left out this time. "
            "Give it a timeout, or run it less often."
        ) from None


@contextmanager
def _logged(name: str) -> Iterator[logging.Logger]:
    """Yield the log of all schedules; what is raised meanwhile goes there too."""
    log = logging.Logger("opsnb.schedule")
    handler = RotatingFileHandler(log_file(), maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    log.addHandler(handler)
    try:
        yield log
    except OpsnbError as error:
        log.info("%s exit=%d %s", name, error.exit_code, error)
        raise
    except Exception as error:
        log.info("%s exit=%d %s: %s", name, OpsnbError.exit_code, type(error).__name__, error)
        raise
    finally:
        handler.close()


def lock_file(schedule: Schedule, config: Config) -> Path:
    """Return the file that is locked while `schedule` runs.

    Another opsnb.toml may have a schedule of the same name, which is none of its business.
    """
    owner = hashlib.sha256(str(config.path).encode()).hexdigest()[:8]
    return _folder() / f"{schedule.name}-{owner}.lock"


def log_file() -> Path:
    """Return the log of scheduled runs; it is kept up to 4 MB, in four files."""
    return _folder() / "schedule.log"


def _folder() -> Path:
    folder = state_home() / "schedule"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder of the schedules' log, {folder}, cannot be made: {error.strerror}. "
            "Make room, or set XDG_STATE_HOME to another folder."
        ) from error
    return folder


def read_environment(path: Path) -> Mapping[str, str]:
    """Return the variables of a file of NAME=value lines, which only its owner may read.

    Blank lines, comments, `export ` and quotes round a value are understood. Raises ConfigError.
    """
    try:
        if path.stat().st_mode & _READABLE_BY_OTHERS:
            raise ConfigError(f"{path} holds secrets and others may read it; chmod 600 it.")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Correct its name.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; write it as such.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            name, equals, value = line.removeprefix("export ").partition("=")
            if not (equals and name.strip().isidentifier()):
                raise ConfigError(f"{path}: line {number} is not NAME=value; correct it.")
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
