"""The kernel's process: gets its request from its runner, and ends with it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

import ipykernel_launcher
from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config
from traitlets.config.loader import DeferredConfigString

from opsnb.headless.kernels.strays import end_started_by
from opsnb.machine.finishing import finish
from opsnb.machine.marks import STARTED_BY

GRACE_S = 10.0
"""How long an interrupted notebook may take to clean up."""


def serve(line: socket.socket) -> NoReturn:
    """Turn this process into the IPython kernel that is requested over `line`."""
    request = _request(line)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = [ipykernel_launcher.__file__, *request["arguments"]]
    _seed()
    app: Any = KernelApp.instance()
    app.initialize(request["arguments"])
    threading.Thread(target=_end_with_runner, args=(line, app), daemon=True).start()
    try:
        line.sendall(str(os.getpid()).encode())
    except OSError:
        os._exit(1)  # the runner is gone; an orderly exit would wait for its sockets
    app.start()
    _end()


class KernelApp(IPKernelApp):
    """The application of a kernel."""

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Read the options as jupyter_client and nbclient write them.

        traitlets builds a parser of every option, which takes a fifth of a kernel's start.
        """
        match argv:
            case ["-f", path, *rest] if all(options := [_OPTION.fullmatch(each) for each in rest]):
                config = Config(IPKernelApp={"connection_file": path})
                for option in filter(None, options):
                    config[option[1]][option[2]] = DeferredConfigString(option[3])
                self.update_config(config)
            case _:
                super().parse_command_line(argv)


_OPTION = re.compile(r"--([A-Z]\w*)\.(\w+)=(.*)")


def _end() -> NoReturn:
    """Exit as Python does, but without destroying every object, which takes 30 ms."""
    finish()
    os._exit(0)


def _request(line: socket.socket) -> dict[str, Any]:
    """Return the request; exit if the runner is gone."""
    received = b""
    while not received.endswith(b"\n"):
        piece = line.recv(65536)
        if not piece:
            os._exit(0)
        received += piece
    request: dict[str, Any] = json.loads(received)
    return request


def _seed() -> None:
    """Seed random numbers again: all forks start from the same state."""
    random.seed()
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()


def _end_with_runner(line: socket.socket, app: IPKernelApp) -> None:
    """When the runner is gone, interrupt the cell so that it cleans up, and exit."""
    # An error means the same: the runner ended before it read everything.
    with contextlib.suppress(OSError):
        while line.recv(64):
            pass
    killer = threading.Timer(GRACE_S, _kill)
    killer.daemon = True
    killer.start()
    # The loop is free only between cells, so the process exits after the clean-up.
    app.kernel.io_loop.add_callback(_leave)
    os.kill(os.getpid(), signal.SIGINT)


def _leave() -> NoReturn:
    """End the processes that the cells left running, and this process."""
    _end_strays()
    os._exit(1)


def _kill() -> None:
    _end_strays()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _end_strays() -> None:
    if mark := os.environ.get(STARTED_BY):
        end_started_by(mark)
