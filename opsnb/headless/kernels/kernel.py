"""A kernel's own process: takes its orders over the line to its runner, and ends when that goes."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

import ipykernel_launcher
from ipykernel.kernelapp import IPKernelApp

from opsnb.headless.kernels.strays import end_started_by
from opsnb.machine.holder import STARTED_BY

GRACE_S = 10.0
"""How long an interrupted notebook may take for its clean-up."""


def serve(line: socket.socket) -> NoReturn:
    """Turn this process into the IPython kernel that is asked for over `line`."""
    request = _request(line)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [ipykernel_launcher.__file__, *request["arguments"]]
    _seed()
    app = IPKernelApp.instance()
    app.initialize(request["arguments"])
    threading.Thread(target=_end_with_runner, args=(line, app), daemon=True).start()
    try:
        line.sendall(str(os.getpid()).encode())
    except OSError:
        os._exit(1)  # the runner went meanwhile; an end in order would wait for its sockets
    app.start()
    _end()


def _end() -> NoReturn:
    """End the process as Python does, but do not take down each object: 30 ms for nothing."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    os._exit(0)


def _request(line: socket.socket) -> dict[str, Any]:
    """Return what is asked for. The runner may have gone meanwhile: then there is nothing to do."""
    received = b""
    while not received.endswith(b"\n"):
        piece = line.recv(65536)
        if not piece:
            os._exit(0)
        received += piece
    found: dict[str, Any] = json.loads(received)
    return found


def _seed() -> None:
    """Give this process random numbers of its own: its brothers were forked from the same state."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _end_with_runner(line: socket.socket, app: IPKernelApp) -> None:
    """When the runner goes, interrupt the cell, so that its clean-up runs, and end the process."""
    # An error is an end too: the runner went before it had read what this side said.
    with contextlib.suppress(OSError):
        while line.recv(64):
            pass
    killer = threading.Timer(GRACE_S, _kill)
    killer.daemon = True
    killer.start()
    # Only between cells is the loop free: the process ends when the clean-up has.
    app.kernel.io_loop.add_callback(_leave)
    os.kill(os.getpid(), signal.SIGINT)


def _leave() -> NoReturn:
    """End what the cells have left running, as the runner cannot any more, and this process."""
    _end_strays()
    os._exit(1)


def _kill() -> None:
    _end_strays()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _end_strays() -> None:
    if mark := os.environ.get(STARTED_BY):
        end_started_by(mark)
