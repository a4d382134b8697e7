"""The process of one run: becomes what its client is, and runs the ordinary command line."""

from __future__ import annotations

import io
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import NoReturn, TextIO

from opsnb.cli import entry
from opsnb.cli.resident import protocol
from opsnb.machine import interrupts
from opsnb.machine.finishing import finish

_FAILED = 1
_UNWRITTEN = 120  # as Python ends when it cannot write its last output


def run(connection: socket.socket) -> NoReturn:
    """Run the command line that is requested over `connection`, report its exit code, and exit."""
    os.setpgid(0, 0)  # a signal to its group is not for the resident
    request = _requested(connection)
    threading.Thread(target=_end_with_client, args=(connection,), daemon=True).start()
    code = _run(request.arguments)
    with suppress(OSError):
        connection.sendall(protocol.ENDING.pack(protocol.EXITED, code))
    os._exit(code)


def _requested(connection: socket.socket) -> protocol.Request:
    """Take over what the client is; exit if it is gone."""
    try:
        connection.sendall(protocol.NUMBER.pack(os.getpid()))
        received = protocol.receive(connection)
    except OSError:
        os._exit(0)
    if received is None:
        os._exit(0)
    request, (*streams, folder) = received
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.fchdir(folder)
    for stream, handle in enumerate(streams):
        os.dup2(handle, stream)
    for handle in (*streams, folder):
        os.close(handle)
    _renew_streams()
    tempfile.tempdir = None  # depends on the environment
    random.seed()  # all forks start from the same state
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request.ignored:
        signal.signal(number, signal.SIG_IGN)
    return request


def _renew_streams() -> None:
    """Let Python's streams fit what their files are now: a terminal is flushed at each line."""
    sys.stdin = _stream(sys.stdin, 0, "r")
    sys.stdout = _stream(sys.stdout, 1, "w")
    sys.stderr = _stream(sys.stderr, 2, "w")


def _stream(before: TextIO, handle: int, mode: str) -> TextIO:
    stream = open(  # noqa: SIM115 - for as long as the process lives
        handle, mode, encoding=before.encoding, errors=before.errors, closefd=False
    )
    assert isinstance(stream, io.TextIOWrapper)
    unbuffered = isinstance(before, io.TextIOWrapper) and before.write_through
    stream.reconfigure(line_buffering=handle == 2 or unbuffered or stream.isatty())
    return stream


def _end_with_client(connection: socket.socket) -> None:
    """When the client is gone, end as a run does whose terminal was closed."""
    with suppress(OSError):
        while connection.recv(64):
            pass
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGTERM if is_ignored else signal.SIGHUP)


def _run(arguments: list[str]) -> int:
    """Return the exit code of the command line."""
    sys.argv = arguments
    interrupts.end_at_once()
    try:
        entry.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else _FAILED
    except BaseException:  # noqa: BLE001 - reported as Python does
        sys.excepthook(*sys.exc_info())
        code = _FAILED
    return _finished(code)


def _finished(code: int) -> int:
    """Finish as Python does at its end, and write what is left of the output."""
    finish()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or _UNWRITTEN
    return code
