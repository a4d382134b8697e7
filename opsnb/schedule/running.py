"""Run a schedule, as cron does: lock, log, ping, run, notify."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from opsnb.config.file import Config, load_config
from opsnb.config.target import stand_in
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError, Interrupted, Locked, OpsnbError
from opsnb.headless import fleet
from opsnb.headless.order import Order
from opsnb.headless.run import run as run_one
from opsnb.model import RunResult
from opsnb.notify import dispatch
from opsnb.records.store import Store
from opsnb.records.verdict import worst_sentence
from opsnb.schedule import mail
from opsnb.schedule.environment import read_environment
from opsnb.schedule.jobs import Job, find, job
from opsnb.schedule.log import logged, note_all, redacted
from opsnb.schedule.ping import ending, switch
from opsnb.timetable import traces
from opsnb.timetable.last_run import trigger
from opsnb.timetable.times import last_time, local_now


def prepare(name: str, environment: Path | None) -> Config:
    """Return the configuration in force, with the variables of the file `environment`.

    Raises ConfigError, which is also logged for the schedule `name`: cron shows no errors.
    """
    with logged(name):
        if environment:
            os.environ.update(read_environment(environment))
        return load_config()


@dataclass(frozen=True)
class Ended:
    """How a scheduled run ended, and what cron mails."""

    result: RunResult
    mail: list[str]
    """Lines on problems; empty if there are none."""
    failures: list[str]
    """Lines on notifications and pings that failed."""


def run(name: str, config: Config, now: datetime, stopped: Sequence[signal.Signals]) -> Ended:
    """Run the schedule `name`, log it, ping and notify; return its result or summary.

    `now` has a time zone. Raises Locked while the same schedule is still running. Errors are
    logged, and notified except that one.
    """
    with logged(name) as log:
        schedule = find(config, name)
        with _refusal_noted(schedule, config, now), _alone(schedule, config):
            with switch(schedule, config) as pings:
                wanted = job(schedule, config)
                result = _run_traced(wanted, config, now, stopped)
                sentence = worst_sentence(result)
                log("run=%s exit=%d %s", result.run_id, result.exit_code, sentence)
                pings.send(ending(result), sentence)
                store = Store(config.store)
                failures = dispatch.after_run(
                    result, config, store, schedule=schedule.name, at=local_now()
                )
            lines = mail.lines(result, schedule, config, store)
            return Ended(result, lines, [*failures, *pings.failures, *log.failures])


def failures_beside(error: BaseException) -> list[str]:
    """Return the lines on failed pings, notifications and log lines when `run` raised `error`."""
    return [*getattr(error, "__notes__", ())]


def _run_traced(
    wanted: Job, config: Config, now: datetime, stopped: Sequence[signal.Signals]
) -> RunResult:
    """Run `wanted` and leave a trace of its times and outcome."""
    schedule = wanted.schedule
    traces.begun(schedule, config, now)
    try:
        result = _run(wanted, config, last_time(schedule, now), stopped)
    except BaseException as error:
        code = error.exit_code if isinstance(error, OpsnbError) else OpsnbError.exit_code
        traces.ended(schedule, config, local_now(), exit_code=code, sentence=redacted(str(error)))
        raise
    traces.ended(
        schedule,
        config,
        local_now(),
        exit_code=result.exit_code,
        sentence=worst_sentence(result),
        status=result.status,
        run_id=result.run_id,
    )
    return result


@contextmanager
def _refusal_noted(schedule: Schedule, config: Config, now: datetime) -> Iterator[None]:
    """Note and notify when a run cannot begin, except when the previous one is still running."""
    try:
        yield
    except OpsnbError as error:
        why = redacted(str(error))
        traces.refused(schedule, config, now, why)
        if not isinstance(error, Locked | Interrupted):
            note_all(error, dispatch.after_refusal(schedule, config, why, local_now()))
        raise


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
    """Keep two runs of a schedule from overlapping."""
    path = lock_file(schedule, config)
    lock = FileLock(path, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(
            f"Schedule {schedule.name} is still running, so this run was skipped. "
            "Set a timeout, or run it less often."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The lock {path} cannot be written: {error.strerror}. Free space there, or set "
            "XDG_STATE_HOME to another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def lock_file(schedule: Schedule, config: Config) -> Path:
    """Return the file that is locked while `schedule` runs.

    Schedules of the same name in another opsnb.toml have another file.
    """
    return traces.folder() / f"{schedule.name}-{traces.owner(config)}.lock"
