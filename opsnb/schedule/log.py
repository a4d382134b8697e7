"""The log of all schedules: one line for each run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from filelock import FileLock

from opsnb.errors import ConfigError, OpsnbError
from opsnb.redaction import Redactor, environment_secrets
from opsnb.timetable import traces
from opsnb.view import terminal

_LOG_BYTES, _LOGS_KEPT = 1_000_000, 3
_LOG_TIME = "%Y-%m-%dT%H:%M:%S%z"


@contextmanager
def logged(name: str) -> Iterator[Log]:
    """Yield the log of all schedules; errors raised meanwhile are logged too."""
    log = Log(name)
    try:
        yield log
    except OpsnbError as error:
        log("exit=%d %s", error.exit_code, error)
        note_all(error, log.failures)
        raise
    except Exception as error:
        log("exit=%d %s: %s", OpsnbError.exit_code, type(error).__name__, error)
        note_all(error, log.failures)
        raise


class Log:
    """The log of all schedules, for one of them: one line for each run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.failures: list[str] = []
        """Why a line could not be written; cron mails it."""

    def __call__(self, words: str, *values: object) -> None:
        """Write a line, with control characters and line breaks made visible.

        A full disk must neither end the run nor hide its error.
        """
        try:
            self._write(words, *values)
        except (OSError, ConfigError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self.failures.append(f"The log of schedules cannot be written: {str(why).rstrip('.')}.")

    def _write(self, words: str, *values: object) -> None:
        line = " ".join(terminal.visible(redacted(words % values)).split())
        record = logging.LogRecord("opsnb", logging.INFO, "", 0, f"{self._name} {line}", None, None)
        path = log_file()
        # Locked: two processes that rotate the log at the same time would lose a file.
        with FileLock(path.with_suffix(".lock"), mode=0o600):
            handler = _Handler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT)
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", _LOG_TIME))
            path.chmod(0o600)
            with closing(handler):
                handler.emit(record)


class _Handler(RotatingFileHandler):
    """Raises errors, where logging would print them with a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        raise  # noqa: PLE0704 - called while an error is handled


def log_file() -> Path:
    """Return the log of scheduled runs; at most 4 MB in four files."""
    return traces.folder() / "schedule.log"


def note_all(error: Exception, lines: Iterable[str]) -> None:
    """Add `lines` to `error` as notes."""
    for line in lines:
        error.add_note(line)


def redacted(text: str) -> str:
    """Return `text` without the secrets of the environment."""
    return Redactor(environment_secrets()).text(text)
