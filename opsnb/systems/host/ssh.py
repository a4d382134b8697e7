"""What is said over ssh: the words that are sent, and which of those that come back are the answer.

The login shell may greet before, after and on both streams. So the answer stands between marks that
are drawn for each command: what is outside of them is not the program's, and an answer without its
end mark was interrupted.
"""

from __future__ import annotations

import math
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opsnb.redaction import outside

FAILED = 255
"""The exit code of ssh itself when it could not log in, or lost the connection."""

# The halves of a mark are put together over there only, so that a shell which repeats what it was
# sent does not repeat the mark. `timeout` ends over there what hangs, for it would outlive the ssh
# that is ended here; where there is none, or one of other words, it does without.
_SCRIPT = (
    "m=$1 s=$2; shift 2; b=$m-begin e=$m-end; "
    'if timeout -s KILL 9 true 2>/dev/null; then set -- timeout -s KILL $s "$@"; fi; '
    "printf '%s\\n' $b; printf '%s\\n' $b >&2; "
    '"$@"; c=$?; '
    "printf '%s %s\\n' $e $c; printf '%s %s\\n' $e $c >&2; exit 0"
)


@dataclass(frozen=True)
class Answer:
    """The output of a program over ssh."""

    code: int
    out: bytes
    err: bytes


class NotRun(Exception):
    """The login shell did not run the command; the message is what it printed instead."""


class CutOff(Exception):
    """The answer has no end."""


@dataclass(frozen=True)
class Call:
    """One command that is sent."""

    argv: Sequence[str]
    limit_s: float
    env: Mapping[str, str]
    mark: str = field(default_factory=lambda: f"opsnb-{secrets.token_hex(8)}")

    @property
    def words(self) -> str:
        """The command line for the login shell, whichever that is."""
        given = [f"{name}={value}" for name, value in self.env.items()]
        shell = ["env", *given, "sh"] if given else ["sh"]
        seconds = str(math.ceil(self.limit_s) + 1)
        return shlex.join([*shell, "-c", _SCRIPT, "sh", self.mark, seconds, *self.argv])

    def answer(self, out: bytes, err: bytes) -> Answer:
        """Return the answer that lies in what came back. Raises NotRun, CutOff."""
        _, begun, printed = out.partition(self._mark("begin\n"))
        if not begun:
            raise NotRun(shown(out) or shown(err))
        printed, ended, code = printed.rpartition(self._mark("end "))
        if not ended or b"\n" not in code:
            raise CutOff
        complaint = err.partition(self._mark("begin\n"))[2] or err
        complaint = complaint.rpartition(self._mark("end "))[0] or complaint
        return Answer(int(code.split()[0]), printed, complaint)

    def _mark(self, end: str) -> bytes:
        return f"{self.mark}-{end}".encode()


def shown(output: bytes, most: int = 160) -> str:
    """Return the first line of what was said, without colours and control characters."""
    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-_])", "", output.decode(errors="replace"))
    lines = [re.sub(r"[\x00-\x1f\x7f-\x9f]", "", line).strip() for line in text.splitlines()]
    return next((outside.head(line, most) for line in lines if line), "")


_LOGIN = re.compile(
    r"(?im)^.*(permission denied|host key verification failed|too many authentication failures"
    r"|no matching (?:host key|cipher|key exchange|mac)|bad (?:owner or permissions|configuration)"
    r"|could not resolve(?!.*temporary)|unprotected private key|no such identity|unknown port"
    r"|bad port).*$"
)
_FIXES = (
    ("host key verification", "Log in once by hand and accept its host key."),
    (
        "permission denied",
        "Put a key that it accepts into the ssh agent; passwords are not asked for.",
    ),
    ("too many authentication", "Name its key in ~/.ssh/config, with IdentitiesOnly yes."),
    ("could not resolve", "Correct the name in host, or in ~/.ssh/config."),
    ("", "Correct host, or ~/.ssh/config."),
)


def login_fault(err: str) -> tuple[str, str] | None:
    """Return what ssh says of a login that cannot work as configured, and the fix; else None."""
    match = _LOGIN.search(err)
    if match is None:
        return None
    said = match[0].strip().rstrip(".")
    return said, next(fix for word, fix in _FIXES if word in said.lower())


_SSH_LINE = re.compile(
    r"(?m)^(?:ssh|kex_exchange_identification|client_loop|channel \d+|Connection|Timeout|Read from"
    r"|packet_write|Write failed|mux_client|stdio forwarding|banner exchange)\b.*$"
)


def connection_fault(err: str) -> str:
    """Return the line of ssh that says why there is no connection."""
    found = _SSH_LINE.findall(err) or err.strip().splitlines()[-1:]
    return found[-1].strip().rstrip(".") if found else "ssh gives no reason"
