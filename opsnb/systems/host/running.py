"""Programs that run on the target's machine and files that are read there, here or by ssh.

Both ways take the same arguments and return the same output, so callers have one parser.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, TimedOut, Unreachable
from opsnb.redaction import safe_url
from opsnb.systems.host import ssh
from opsnb.systems.host.failures import complaint, lacking_right
from opsnb.systems.host.settings import LOCAL, HostSettings
from opsnb.systems.host.subprocesses import NotStarted, finish

SYSTEM = "host"
_CALL_S = 5.0
_IN_FOLDER = 'cd "$1" && shift && exec "$@"'
_EACH_TEXT = (
    'm=$1; shift; for f; do if [ -r "$f" ]; then printf \'\\n%s %s\\n\' "$m" "$f"; '
    'head -c 262144 "$f"; fi; done; printf \'\\n%s \' "$m"'
)
_NOT_STARTED = (126, 127)  # by the convention of shells, `env` and `timeout`
_PLAIN = {"LC_ALL": "C", "LANGUAGE": ""}
"""Programs print English words and numbers, whatever the locale of the host."""


class ProgramMissing(BadAnswer):
    """The host has no such program, or cannot start it."""


class ProgramFailed(BadAnswer):
    """The program ended with a non-zero exit code.

    `said` is the last line of its error output, `output` its standard output.
    """

    def __init__(self, system: str, message: str, said: str, output: str) -> None:
        super().__init__(system, message)
        self.said = said
        self.output = output


@dataclass(frozen=True)
class Host:
    """The machine of a target, for one check of `system`.

    What fails is reported as a failure of `system`, except that a machine which cannot be
    reached is one of the "host", so that it is one cause for all that is read there. Nothing
    starts after `ends` (on time.monotonic), so that a check which was given up ends by itself.
    """

    address: str
    system: str
    connect_s: float
    ends: float

    @property
    def is_local(self) -> bool:
        """Return whether it is this machine."""
        return self.address == LOCAL

    @property
    def name(self) -> str:
        """The machine's name in messages."""
        return "this machine" if self.is_local else safe_url(self.address)

    def run(
        self, argv: Sequence[str], limit_s: float = _CALL_S, env: Mapping[str, str] | None = None
    ) -> str:
        """Return what a program that only reads prints within `limit_s` seconds, in plain English.

        `env` is added to its environment. Raises ProgramMissing, ProgramFailed (a non-zero exit),
        TimedOut, Unreachable, Misconfigured.
        """
        return self._output(argv, limit_s, {**_PLAIN, **(env or {})}).decode(errors="replace")

    def do(
        self, argv: Sequence[str], limit_s: float = _CALL_S, env: Mapping[str, str] | None = None
    ) -> str:
        """Return what a program that changes something prints; raises as `run`.

        It keeps the host's locale, which the processes that it starts inherit.
        """
        return self._output(argv, limit_s, env or {}).decode(errors="replace")

    def run_in(
        self,
        folder: str,
        argv: Sequence[str],
        limit_s: float = _CALL_S,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Return what a program prints that runs in `folder`, as it is; raises as `run`."""
        words = ["sh", "-c", _IN_FOLDER, "sh", self.expand(folder), *argv]
        return self._output(words, limit_s, env or {}, Path(argv[0]).name).decode(errors="replace")

    def has(self, program: str) -> bool:
        """Return whether `program` is on the host's PATH, or is a program there by its path."""
        if self.is_local:
            return shutil.which(program) is not None
        try:
            return bool(self.run(["sh", "-c", 'command -v "$1"', "sh", program]))
        except (ProgramFailed, ProgramMissing):
            return False

    def clock(self) -> tuple[datetime, tzinfo | None]:
        """Return the host's own time in UTC, and its zone; None is this process's zone.

        Over ssh the zone is the offset of this moment, so that stamps without a zone that were
        written before a change to or from summer time are an hour off.
        """
        if self.is_local:
            return datetime.now(UTC), None
        answer = self.run(["date", "+%s %z"])
        match = re.fullmatch(r"(\d+) ([+-])(\d\d)(\d\d)\s*", answer)
        if match is None:
            raise BadAnswer(self.system, f"`date` on {self.name} answers {answer.strip()!r}.")
        offset = timedelta(hours=int(match[3]), minutes=int(match[4]))
        zone = timezone(-offset if match[2] == "-" else offset)
        return datetime.fromtimestamp(int(match[1]), UTC), zone

    def expand(self, path: str) -> str:
        """Return `path` with a leading `~/` as the home folder, where ssh starts anyway."""
        if not self.is_local:
            return path.removeprefix("~/")
        try:
            return str(Path(path).expanduser())
        except RuntimeError:  # a user without a home, as in a container
            return path

    def names_in(self, folder: str) -> list[str]:
        """Return the names of what is in `folder`. Raises ServiceError."""
        if self.is_local:
            try:
                return os.listdir(folder)  # noqa: PTH208 - names, as `ls` gives them
            except OSError as error:
                raise self._unreadable(folder, error.strerror) from error
        return self._read(folder, ["ls", "-A", "--", folder]).decode(errors="replace").splitlines()

    def texts(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the small files of the kernel among `paths` that can be read, by path, at once."""
        if self.is_local:
            found = {}
            for path in paths:
                with suppress(OSError):
                    found[path] = Path(path).read_text(errors="replace")
            return found
        mark = secrets.token_hex(8)
        printed = self.run(["sh", "-c", _EACH_TEXT, "sh", mark, *paths])
        parts = [part.partition("\n") for part in printed.split(f"\n{mark} ")[1:]]
        return {path: text for path, _, text in parts if path}

    def tail(self, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file, all of it when it is smaller."""
        if self.is_local:
            return self._local_part(path, size, from_end=True)
        return self._read(path, ["tail", "-c", str(size), "--", path])

    def head(self, path: str, size: int) -> bytes:
        """Return the first `size` bytes of a file, all of it when it is smaller."""
        if self.is_local:
            return self._local_part(path, size, from_end=False)
        return self._read(path, ["head", "-c", str(size), "--", path])

    def _local_part(self, path: str, size: int, *, from_end: bool) -> bytes:
        try:
            # A pipe or a device would block or never end.
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise self._unreadable(path, "not a regular file")
            with Path(path).open("rb") as file:
                if from_end:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read(size)
        except OSError as error:
            raise self._unreadable(path, error.strerror) from error

    def _read(self, path: str, argv: Sequence[str]) -> bytes:
        try:
            return self._output(argv, _CALL_S, _PLAIN)
        except ProgramFailed as error:
            raise self._unreadable(path, error.said.rpartition(": ")[2]) from error

    def _unreadable(self, path: str, why: str | None) -> BadAnswer:
        return BadAnswer(self.system, f"{path} on {self.name} cannot be read: {why}.")

    def _output(
        self, argv: Sequence[str], limit_s: float, env: Mapping[str, str], called: str = ""
    ) -> bytes:
        """Run a program and map its failures; nothing else runs programs.

        `called` is its name where another one starts it.
        """
        program = called or Path(argv[0]).name
        limit_s = min(limit_s, self.ends - time.monotonic())
        if limit_s <= 0:
            raise TimedOut(self.system, f"There was no time left for `{program}` on {self.name}.")
        try:
            code, out, err = (
                finish(argv, limit_s, env)
                if self.is_local
                else self._over_ssh(argv, limit_s, env, program)
            )
        except subprocess.TimeoutExpired:
            raise TimedOut(
                self.system, f"`{program}` on {self.name} did not finish within {limit_s:.1f} s."
            ) from None
        except NotStarted as error:
            missing = program if self.is_local else "ssh"
            raise ProgramMissing(
                self.system, f"`{missing}` cannot be started here: {error}."
            ) from error
        if code == 0:
            return out
        said = complaint(err) or complaint(out) or f"exit code {code}"
        if code in _NOT_STARTED:
            raise ProgramMissing(
                self.system, f"`{program}` cannot be started on {self.name}: {said}."
            )
        if fix := lacking_right(err.decode(errors="replace")):
            message = f"`{program}` on {self.name} is not allowed: {said}. {fix}"
            raise Misconfigured(self.system, message)
        message = f"`{program}` on {self.name} failed: {said}."
        raise ProgramFailed(self.system, message, said, out.decode(errors="replace"))

    def _over_ssh(
        self, argv: Sequence[str], limit_s: float, env: Mapping[str, str], program: str
    ) -> tuple[int, bytes, bytes]:
        """Run a program over ssh, and map failures of the connection."""
        call = ssh.Call(argv, limit_s, env)
        options = (
            "-T",
            "-o",
            "BatchMode=yes",
            "-o",
            f"ConnectTimeout={max(1, self.connect_s):.0f}",
        )
        words = ["ssh", *options, "--", self.address.rstrip("/"), call.words]
        code, out, err = finish(words, limit_s, {})
        try:
            answer = call.answer(out, err)
        except ssh.NotRun as error:
            if code == ssh.FAILED:
                raise self._no_connection(err) from None
            said = f", but said {str(error)!r}" if str(error) else ""
            raise Misconfigured(
                SYSTEM,
                f"The login shell on {self.name} did not run what it was sent{said}: let this "
                "login run commands, and let its shell greet interactive logins only.",
            ) from None
        except ssh.CutOff:
            if code == ssh.FAILED:
                raise Unreachable(
                    SYSTEM,
                    f"The connection to {self.name} was lost: "
                    f"{ssh.connection_fault(err.decode(errors='replace'))}.",
                ) from None
            raise BadAnswer(
                self.system,
                f"The answer of `{program}` on {self.name} ended early, after {len(out):,} bytes.",
            ) from None
        return answer.code, answer.out, answer.err

    def _no_connection(self, err: bytes) -> Misconfigured | Unreachable:
        text = err.decode(errors="replace")
        if fault := ssh.login_fault(text):
            said, fix = fault
            return Misconfigured(SYSTEM, f"{self.name} does not let opsnb log in: {said}. {fix}")
        said = ssh.connection_fault(text)
        return Unreachable(SYSTEM, f"{self.name} cannot be reached: {said}.")


def host_of(target: Target, system: str = SYSTEM, limit_s: float = 9.0) -> Host:
    """Return the target's machine, to be read for `limit_s` seconds on behalf of `system`.

    Longer for a target whose own time limit allows a check to take longer.
    """
    ends = time.monotonic() + (max(limit_s, 2 * target.time_limit_s) if limit_s > 0 else limit_s)
    return Host(HostSettings.of(target).address, system, target.time_limit_s, ends)
