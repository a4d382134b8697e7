"""`opsnb run` as the client of a resident. It imports little, so that it starts at once."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from opsnb.cli.resident import address, protocol
from opsnb.errors import ExitCode, OpsnbError
from opsnb.machine.marks import STARTED_BY

if TYPE_CHECKING:
    import subprocess

SETTING = "OPSNB_RESIDENT"
"""The variable that switches the resident off, or `on` where no terminal is."""

IDLE_S = 600.0
"""How long a resident waits for another run."""

_RELAYED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SUITED = sys.platform == "linux" and hasattr(os, "pidfd_open")
# Arguments that mean something in this process alone.
_OWN = ("/dev/fd/", "/dev/std", "/proc/self/")
# fsspec reads them as it is imported, and they may hold secrets, which a resident must not.
_UNSUITED = "FSSPEC_"


def run() -> None:
    """Let a resident run this command line, and exit as it did.

    If there is none, return, and start one when this process ends. If there must be none, return.
    """
    if not _is_wanted():
        return
    try:
        path, environment = address.path(), address.environment()
    except (OSError, OpsnbError):
        return  # the run itself says what is wrong
    if path is None:
        return
    with suppress(OSError, ValueError, struct.error), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(protocol.HANDSHAKE_S)
        connection.connect(str(path))
        if address.is_of_this_user(connection):
            _run_over(connection)
    atexit.register(start, path, environment)


def _is_wanted() -> bool:
    """Return whether this is a run by hand that may use a resident."""
    arguments = sys.argv[1:]
    return (
        _SUITED
        # Neither `python -m opsnb` nor an interpreter with options: a resident has none.
        and sys.orig_argv[1:] == sys.argv
        and "--cold" not in arguments
        and "--help" not in arguments
        and not any(own in argument for argument in arguments for own in _OWN)
        and not any(name.startswith(_UNSUITED) for name in os.environ)
        and STARTED_BY not in os.environ  # in a kernel, with which it must end
        and _is_by_hand()
    )


def _is_by_hand() -> bool:
    setting = os.environ.get(SETTING, "")
    if setting:
        return setting == "on"
    return not os.environ.get("CI") and _has_terminal()


def _has_terminal() -> bool:
    """Return whether this process belongs to a terminal, as none does under cron or systemd."""
    # state, parent, group, session, terminal; the name before the bracket may contain spaces.
    return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[4] != "0"


def _run_over(connection: socket.socket) -> None:
    """Run this command line over `connection` and exit; return if nothing has been started."""
    (pid,) = protocol.NUMBER.unpack(protocol.read(connection, protocol.NUMBER.size))
    process = os.pidfd_open(pid)
    try:
        with _relayed(process) as relayed:
            # As plain numbers: a request cannot hold an enumeration.
            ignored = [int(each) for each in _RELAYED if signal.getsignal(each) is signal.SIG_IGN]
            protocol.send(connection, protocol.Request(sys.argv, dict(os.environ), ignored))
            # From here on the run goes on, and only its end ends this process.
            connection.settimeout(None)
            _exit(_ending(connection), relayed)
    finally:
        os.close(process)


@contextmanager
def _relayed(process: int) -> Iterator[list[int]]:
    """Pass signals on to `process`, a pidfd, and yield the list of them."""
    relayed: list[int] = []

    def send(number: int) -> None:
        with suppress(OSError):  # it has ended
            signal.pidfd_send_signal(process, number)

    def relay(number: int, _: FrameType | None) -> None:
        relayed.append(number)
        send(number)

    def stop(number: int, _: FrameType | None) -> None:
        send(signal.SIGSTOP)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # until `fg` or `bg`
        signal.signal(number, stop)
        send(signal.SIGCONT)

    handlers = {**dict.fromkeys(_RELAYED, relay), signal.SIGTSTP: stop}
    before = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield relayed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending(connection: socket.socket) -> bytes:
    try:
        return protocol.read(connection, protocol.ENDING.size)
    except OSError:
        return b""


def _exit(ending: bytes, relayed: list[int]) -> NoReturn:
    """Exit as the run did."""
    if not ending:
        _fail("The process of the run was killed.")
    how, number = protocol.ENDING.unpack(ending)
    if how == protocol.EXITED:
        os._exit(number)
    if number in relayed:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _fail(f"The process of the run was killed ({signal.Signals(number).name}).")


def _fail(sentence: str) -> NoReturn:
    os.write(2, f"opsnb: {sentence} For its record: opsnb records list\n".encode())
    os._exit(ExitCode.BROKE)


def start(
    path: Path, environment: dict[str, str], idle_s: float = IDLE_S
) -> subprocess.Popen[bytes] | None:
    """Start a resident that listens at `path`; it ends at once if there is one."""
    import subprocess

    with suppress(OSError):
        return subprocess.Popen(
            # -P: nothing in the working folder takes the place of a module.
            [sys.executable, "-P", "-m", "opsnb.cli.resident", str(path), str(idle_s)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    return None
