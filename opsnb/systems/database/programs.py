"""Running pg_dump, pg_restore and psql: bounded, and ended when the caller gives up."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused, ServiceError, TimedOut, Unreachable
from opsnb.redaction import outside
from opsnb.systems.database.access import (
    SYSTEM,
    connection,
    environment,
    place,
    program,
    program_version,
)
from opsnb.view import commands

_POLL_S = 0.2
_END_S = 10.0
_CHUNK = 2**20
_MEND = "install PostgreSQL's client programs, or name their folder as pg_bin in opsnb.toml"


def demand_program(target: Target, name: str, *, of_server: bool = True) -> None:
    """Raise Refused when a client program is missing or, `of_server`, older than the server."""
    try:
        major = program_version(target, name)
    except OSError as error:
        raise Refused(f"{error}; {_MEND}.") from error
    if not of_server:
        return
    with connection(target) as database:
        server = database.info.server_version // 10_000
    if major < server:
        raise Refused(
            f"{name} {major} is older than the server ({server}) and cannot serve it: install "
            f"version {server} or newer, and name its folder as pg_bin of target {target.name}."
        )


def run(
    target: Target,
    name: str,
    arguments: Iterable[str | Path],
    *,
    feed: Iterable[bytes] = (),
) -> Iterator[None]:
    """Run a client program on the target, yielding again and again until it has ended.

    `feed` goes to its standard input. When the caller gives up, it is told to end, which cancels
    what it has under way on the server. Raises ServiceError with its complaint.
    """
    with _started(target, name, arguments, stdin=subprocess.PIPE) as (process, said):
        assert process.stdin is not None
        try:
            for chunk in feed:
                process.stdin.write(chunk)
                yield
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended early; its complaint says why
        while process.poll() is None:
            try:
                process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                yield
        _demand_success(target, name, process.returncode, said)


def chunks(target: Target, name: str, arguments: Iterable[str | Path]) -> Iterator[bytes]:
    """Yield what a client program prints, in pieces. Raises ServiceError with its complaint."""
    with _started(target, name, arguments, stdout=subprocess.PIPE) as (process, said):
        assert process.stdout is not None
        while chunk := process.stdout.read(_CHUNK):
            yield chunk
        _demand_success(target, name, process.wait(_END_S), said)


def lines(target: Target, name: str, arguments: Iterable[str | Path]) -> Iterator[bytes]:
    """Yield what a client program prints, line by line. Raises ServiceError with its complaint."""
    with _started(target, name, arguments, stdout=subprocess.PIPE) as (process, said):
        assert process.stdout is not None
        yield from process.stdout
        _demand_success(target, name, process.wait(_END_S), said)


@contextmanager
def _started(
    target: Target,
    name: str,
    arguments: Iterable[str | Path],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    # A file, because a pipe that nobody reads would stop a program that complains a lot.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [program(target, name), *map(str, arguments)],
                env=environment(target),
                stdin=stdin,
                stdout=stdout,
                stderr=said,
            )
        except OSError as error:
            message = f"{name} cannot be started here: {error.strerror}; {_MEND}."
            raise BadAnswer(SYSTEM, message) from error
        try:
            yield process, said
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream and not stream.closed:
            try:
                stream.close()
            except BrokenPipeError:
                continue
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _demand_success(target: Target, name: str, code: int, said: IO[bytes]) -> None:
    if code == 0:
        return
    said.seek(0)
    complaint = complaint_in(said.read().decode(errors="replace")) or f"exit code {code}"
    raise _mapped(target, name, complaint)


def _mapped(target: Target, name: str, complaint: str) -> ServiceError:
    where = f"PostgreSQL at {place(target)}"
    if "row-level security policy" in complaint:
        return BadAnswer(
            SYSTEM,
            f"{name} may not read all rows ({complaint}): use a superuser or a login with "
            f"BYPASSRLS in the database url of target {target.name}; a part is no backup.",
        )
    if "No space left" in complaint:
        return BadAnswer(SYSTEM, f"{name} found no space left on the disk: make room.")
    if re.search(r"(statement|lock) timeout", complaint):
        return TimedOut(
            SYSTEM,
            f"{name} got no lock in time, because another session holds it; find it with: "
            + commands.run("database/connections", target),
        )
    if re.search(r"connection to server .* failed|closed the connection", complaint):
        return Unreachable(SYSTEM, f"{where} was lost: {complaint}.")
    return BadAnswer(SYSTEM, f"{name} failed: {complaint}.")


def complaint_in(text: str) -> str:
    """Return the first line of `text` that tells of an error, else the last line."""
    clean = outside.text(text)
    said = [line.strip() for line in clean.splitlines() if line.strip()]
    found = [line for line in said if re.search(r"error:|ERROR:|FATAL:", line)] or said[-1:]
    if not found:
        return ""
    return re.sub(r"^.*?(error|ERROR|FATAL):\s+", "", found[0]).rstrip(".")
