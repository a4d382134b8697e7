"""What opsnb raises. Every message is one sentence: what is wrong, where, and the fix.

OpsnbError                    exit code
├── UsageError                64   unusable parameters or configuration, nothing was started
│   ├── ConfigError                opsnb.toml, the environment
│   ├── UnknownTarget
│   ├── UnknownRunbook
│   └── ParameterError             one or more parameters of a runbook
├── Refused                   77   not confirmed, not allowed
├── Locked                    75   another run acts on the target; nothing was started
├── Interrupted              130   by Ctrl-C or SIGTERM, before anything was started
├── RunBroke                  70   the machinery of a run failed
├── DemoError                 70   a part of the demo stack did not start or stop
└── ServiceError                   a system under operation; becomes a finding, never an exit code
    ├── Unreachable                it refuses or cannot be found
    ├── TimedOut                   it did not respond within its time limit
    ├── BadAnswer                  it answered, but not with what was asked for
    ├── Misconfigured              opsnb's own configuration is wrong: never an outage
    └── NotConfigured              the target does not name this system

Drivers' own exceptions never leave `opsnb.systems`: each system maps them to a ServiceError in
one place.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ends. 0 to 3 are those of a status, the monitoring-plugins convention."""

    OK = 0
    WARN = 1
    CRIT = 2
    UNKNOWN = 3
    UNUSABLE = 64
    """Parameters or configuration; nothing was started. From here on a run did not complete."""
    BROKE = 70
    LOCKED = 75
    REFUSED = 77
    TIMED_OUT = 124
    INTERRUPTED = 130


class OpsnbError(Exception):
    """Base of everything that opsnb raises on purpose."""

    exit_code = ExitCode.BROKE

    def _render_traceback_(self) -> list[str]:
        """Let IPython show the sentence alone: a traceback would not help the engineer."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(OpsnbError):
    """Unusable parameters or configuration; nothing was started."""

    exit_code = ExitCode.UNUSABLE


class ConfigError(UsageError):
    """`opsnb.toml` or the environment cannot be used."""


class UnknownTarget(UsageError):
    """No target of that name."""


class UnknownRunbook(UsageError):
    """No runbook of that id."""


class ParameterError(UsageError):
    """A parameter is unknown, missing, mistyped or out of range."""


class Refused(OpsnbError):
    """Not confirmed or not allowed; nothing was changed."""

    exit_code = ExitCode.REFUSED


class Locked(OpsnbError):
    """Another run acts on the target; nothing was started."""

    exit_code = ExitCode.LOCKED


class Interrupted(OpsnbError):
    """Ctrl-C or SIGTERM came before anything was started."""

    exit_code = ExitCode.INTERRUPTED


class RunBroke(OpsnbError):
    """The machinery of a run failed: the kernel died, a file could not be written."""


class DemoError(OpsnbError):
    """A part of the demo stack did not start, stop, or take a fault."""


class ServiceError(OpsnbError):
    """A system under operation did not do what was asked of it.

    `system` is the dependency's name ("redis", "database", "api", ...), by which the session
    knows that several failures have one cause.
    """

    def __init__(self, system: str, message: str) -> None:
        super().__init__(message)
        self.system = system


class Unreachable(ServiceError):
    """The system refuses connections or cannot be found."""


class TimedOut(ServiceError):
    """The system did not answer within its time limit."""


class BadAnswer(ServiceError):
    """The system answered, but not with what was asked for."""


class NotConfigured(ServiceError):
    """The target does not name this system, so there is nothing to measure."""


class Misconfigured(ServiceError):
    """opsnb's own configuration is why the system cannot be asked: never an outage."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or what there is to choose from, or nothing.

    The sentence starts with a space, to be put behind the one that says what is wrong.
    """
    names = sorted(known)
    plain = unicodedata.normalize("NFKC", word).casefold().replace("-", "_")
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    near = near or difflib.get_close_matches(plain, names, n=1, cutoff=0.5)
    near = near or [name for name in names if word and name.startswith(word)]
    if near:
        return f" Did you mean '{near[0]}'?"
    if names:
        return f" Known: {', '.join(names)}."
    return ""
