"""What cron calls: run a schedule's runbook, one line in the log for each run."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from opsnb import catalog, notify
from opsnb.catalog import RunbookInfo
from opsnb.config.target import Config, load_config, stand_in
from opsnb.config.unattended import Schedule
from opsnb.errors import (
    ConfigError,
    Interrupted,
    Locked,
    OpsnbError,
    ParameterError,
    did_you_mean,
)
from opsnb.headless import fleet
from opsnb.headless.run import Order
from opsnb.headless.run import run as run_one
from opsnb.model import RunResult
from opsnb.records.store import Store
from opsnb.records.verdict import worst_sentence
from opsnb.redaction import Redactor, environment_secrets
from opsnb.schedule import mail
from opsnb.schedule.ping import ending, switch
from opsnb.timetable import traces
from opsnb.timetable.standing import trigger
from opsnb.timetable.times import last_time, local_now
from opsnb.view import terminal

_LOG_BYTES, _LOGS_KEPT = 1_000_000, 3
_LOG_TIME = "%Y-%m-%dT%H:%M:%S%z"
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
    notify.check_runbooks(config)
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


@dataclass(frozen=True)
class Ended:
    """How a scheduled run ended, and what cron is to mail."""

    result: RunResult
    mail: list[str]
    """Lines on what it found; none when there is nothing to say."""
    failures: list[str]
    """Lines on notifications and pings that did not arrive."""


def run(name: str, config: Config, now: datetime, stopped: Sequence[signal.Signals]) -> Ended:
    """Run the schedule `name`, log it, ping and notify; return its result, or that of several.

    `now` knows its time zone. Raises Locked while the same schedule still runs; whatever is
    raised is logged too, and notified unless it is that.
    """
    with _logged(name) as log:
        schedule = find(config, name)
        with _noticed(schedule, config, now), _alone(schedule, config):
            with switch(schedule, config) as pings:
                wanted = job(schedule, config)
                result = _run_traced(wanted, config, now, stopped)
                sentence = worst_sentence(result)
                log("run=%s exit=%d %s", result.run_id, result.exit_code, sentence)
                pings.send(ending(result.exit_code), sentence)
                store = Store(config.store)
                failures = notify.after_run(
                    result, config, store, schedule=schedule.name, at=local_now()
                )
            lines = mail.lines(result, schedule, config, store)
            return Ended(result, lines, [*failures, *pings.failures, *log.failures])


def failures_beside(error: BaseException) -> list[str]:
    """Return the lines on what did not arrive although `run` raised `error`."""
    return [*getattr(error, "__notes__", ())]


def _run_traced(
    wanted: Job, config: Config, now: datetime, stopped: Sequence[signal.Signals]
) -> RunResult:
    """Run `wanted` and leave a trace of when and how."""
    schedule = wanted.schedule
    traces.begun(schedule, config, now)
    try:
        result = _run(wanted, config, last_time(schedule, now), stopped)
    except BaseException as error:
        code = error.exit_code if isinstance(error, OpsnbError) else OpsnbError.exit_code
        traces.ended(schedule, config, local_now(), exit_code=code, sentence=_redacted(str(error)))
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
def _noticed(schedule: Schedule, config: Config, now: datetime) -> Iterator[None]:
    """Note and notify when a run cannot begin; not of one that still runs from before."""
    try:
        yield
    except OpsnbError as error:
        why = _redacted(str(error))
        traces.refused(schedule, config, now, why)
        if not isinstance(error, Locked | Interrupted):
            _note_all(error, notify.after_refusal(schedule, config, why, local_now()))
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
    """Let no two runs of a schedule overlap."""
    path = lock_file(schedule, config)
    lock = FileLock(path, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise Locked(
            f"Schedule {schedule.name} still runs from before; it is left out this time. "
            "Give it a timeout, or run it less often."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The lock {path} cannot be written: {error.strerror}. Make room there, or set "
            "XDG_STATE_HOME to another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _redacted(text: str) -> str:
    return Redactor(environment_secrets()).text(text)


class _Handler(RotatingFileHandler):
    """Raises what goes wrong, where logging would print it with its stack."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        raise  # noqa: PLE0704 - it is called while one is handled


class _Log:
    """The log of all schedules, as one of them writes it: one line a run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.failures: list[str] = []
        """Why a line could not be written, for whoever reads cron's mail."""

    def __call__(self, words: str, *values: object) -> None:
        """Write a line; control characters and line breaks in it are shown, not obeyed.

        A run is worth more than its line: a full disk must neither end it nor hide its error.
        """
        try:
            self._write(words, *values)
        except (OSError, ConfigError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self.failures.append(f"The log of schedules cannot be written: {str(why).rstrip('.')}.")

    def _write(self, words: str, *values: object) -> None:
        line = " ".join(terminal.visible(_redacted(words % values)).split())
        record = logging.LogRecord("opsnb", logging.INFO, "", 0, f"{self._name} {line}", None, None)
        path = log_file()
        # Under a lock: of two that turn the file over at the same time, one would lose a file.
        with FileLock(path.with_suffix(".lock"), mode=0o600):
            handler = _Handler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT)
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", _LOG_TIME))
            path.chmod(0o600)
            with closing(handler):
                handler.emit(record)


@contextmanager
def _logged(name: str) -> Iterator[_Log]:
    """Yield the log of all schedules; what is raised meanwhile goes there too."""
    log = _Log(name)
    try:
        yield log
    except OpsnbError as error:
        log("exit=%d %s", error.exit_code, error)
        _note_all(error, log.failures)
        raise
    except Exception as error:
        log("exit=%d %s: %s", OpsnbError.exit_code, type(error).__name__, error)
        _note_all(error, log.failures)
        raise


def _note_all(error: Exception, lines: Iterable[str]) -> None:
    for line in lines:
        error.add_note(line)


def lock_file(schedule: Schedule, config: Config) -> Path:
    """Return the file that is locked while `schedule` runs.

    Another opsnb.toml may have a schedule of the same name, which is none of its business.
    """
    return traces.folder() / f"{schedule.name}-{traces.owner(config)}.lock"


def log_file() -> Path:
    """Return the log of scheduled runs; it is kept up to 4 MB, in four files."""
    return traces.folder() / "schedule.log"


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
