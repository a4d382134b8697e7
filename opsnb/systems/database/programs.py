"""PostgreSQL's client programs, pg_dump and pg_restore: found, run, and ended with their caller."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.pq import Conninfo

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused, ServiceError, TimedOut, Unreachable
from opsnb.redaction import outside
from opsnb.systems.database.driver import APPLICATION
from opsnb.systems.database.failures import SYSTEM, place
from opsnb.systems.database.settings import Database
from opsnb.view import commands

_POLL_S = 0.2
_END_S = 10.0
_CHUNK = 2**20
_FIX = "install PostgreSQL's client programs, or name their folder as pg_bin in opsnb.toml"


@dataclass(frozen=True)
class Program:
    """A client program, for one target."""

    target: Target
    name: str

    @property
    def path(self) -> str:
        """The program's path, or its bare name for the PATH."""
        folder = Database.of(self.target).programs
        return str(Path(folder, self.name)) if folder else self.name

    def version(self) -> int:
        """Return the program's major version.

        Raises OSError with a sentence if it cannot be run, BadAnswer if it reports no version.
        """
        try:
            printed = subprocess.run(
                [self.path, "--version"], capture_output=True, text=True, timeout=5, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise OSError(f"{self.path} cannot be run on this machine: {error}") from error
        version = re.search(r"\d+", printed)
        if version is None:
            raise BadAnswer(SYSTEM, f"{self.path} --version reports no version.")
        return int(version[0])

    def demand(self, server: int = 0) -> None:
        """Raise Refused if the program is missing, or older than `server`, a major version."""
        try:
            version = self.version()
        except OSError as error:
            raise Refused(f"{error}; {_FIX}.") from error
        if version < server:
            raise Refused(
                f"{self.name} {version} is older than the server ({server}) and cannot dump it: "
                f"install version {server} or newer, and name its folder as pg_bin of target "
                f"{self.target.name}."
            )

    def run(self, arguments: Iterable[str | Path]) -> Iterator[None]:
        """Run the program, yielding again and again until it has ended.

        If the caller gives up, the program is asked to end, which cancels its statement on the
        server. Raises ServiceError with the program's complaint.
        """
        with self._started(arguments, subprocess.DEVNULL) as (process, complaints):
            while process.poll() is None:
                try:
                    process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    yield
            self._demand_success(process.returncode, complaints)

    def chunks(self, arguments: Iterable[str | Path]) -> Iterator[bytes]:
        """Yield the program's output in pieces. Raises ServiceError with its complaint."""
        with self._started(arguments, subprocess.PIPE) as (process, complaints):
            assert process.stdout is not None
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
            self._demand_success(process.wait(_END_S), complaints)

    def lines(self, arguments: Iterable[str | Path]) -> Iterator[bytes]:
        """Yield the program's output line by line. Raises ServiceError with its complaint."""
        with self._started(arguments, subprocess.PIPE) as (process, complaints):
            assert process.stdout is not None
            yield from process.stdout
            self._demand_success(process.wait(_END_S), complaints)

    @contextmanager
    def _started(
        self, arguments: Iterable[str | Path], stdout: int
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        # A file, because an unread pipe would stop a program that complains a lot.
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(
                    [self.path, *map(str, arguments)],
                    env=environment(self.target),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=complaints,
                )
            except OSError as error:
                message = f"{self.name} cannot be started here: {error.strerror}; {_FIX}."
                raise BadAnswer(SYSTEM, message) from error
            try:
                yield process, complaints
            finally:
                _end(process)

    def _demand_success(self, code: int, complaints: IO[bytes]) -> None:
        if code == 0:
            return
        complaints.seek(0)
        text = complaints.read().decode(errors="replace")
        raise self._mapped(complaint_in(text) or f"exit code {code}")

    def _mapped(self, complaint: str) -> ServiceError:
        if "row-level security policy" in complaint:
            return BadAnswer(
                SYSTEM,
                f"{self.name} may not read all rows ({complaint}): use a superuser or a login with "
                f"BYPASSRLS in the database url of target {self.target.name}; a part is no backup.",
            )
        if "No space left" in complaint:
            return BadAnswer(SYSTEM, f"{self.name} found no space left on the disk: free some.")
        if re.search(r"(statement|lock) timeout", complaint):
            return TimedOut(
                SYSTEM,
                f"{self.name} got no lock in time, because another session holds it; find it with: "
                + commands.run("database/connections", self.target),
            )
        if re.search(r"connection to server .* failed|closed the connection", complaint):
            where = f"PostgreSQL at {place(self.target)}"
            return Unreachable(SYSTEM, f"The connection to {where} was lost: {complaint}.")
        return BadAnswer(SYSTEM, f"{self.name} failed: {complaint}.")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout and not process.stdout.closed:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment(target: Target) -> dict[str, str]:
    """Return the environment with which PostgreSQL's programs reach the target.

    By `direct_url` where there is one, because they change their session's settings. Host, login
    and password go this way only: any user of the machine can read an argument list.
    """
    ours = {
        option.envvar.decode(): option.val.decode()
        for option in Conninfo.parse(Database.of(target).direct_conninfo.encode())
        if option.envvar and option.val
    }
    ours |= {
        "PGAPPNAME": APPLICATION,
        "PGCONNECT_TIMEOUT": str(max(2, round(target.time_limit_s))),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    # In English, because a program's complaint is searched for known words.
    return {**inherited, **ours, "LC_ALL": "C"}


def complaint_in(text: str) -> str:
    """Return the first line of `text` that reports an error, else the last line."""
    clean = outside.text(text)
    lines = [line.strip() for line in clean.splitlines() if line.strip()]
    found = [line for line in lines if re.search(r"error:|ERROR:|FATAL:", line)] or lines[-1:]
    if not found:
        return ""
    return re.sub(r"^.*?(error|ERROR|FATAL):\s+", "", found[0]).rstrip(".")
