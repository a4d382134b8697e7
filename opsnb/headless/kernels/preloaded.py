"""The process behind a `ForkServer`: imports once, then forks kernels.

It has one thread, opens no connection and reads no request; its children do. It ends with its
owner, whose end of the control socket closes, and restarts when a file that it imported has
changed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from pathlib import Path

from opsnb.headless.kernels.kernel import serve
from opsnb.machine import imported, inherited_files

# What a kernel imports at its start and its first cell.
_KERNEL = (
    "import ipykernel.debugger, ipykernel.displayhook, ipykernel.heartbeat, ipykernel.ipkernel",
    "import ipykernel.kernelapp, ipykernel.zmqshell, tornado.platform.asyncio",
    "import IPython.core.completerlib, IPython.core.debugger, IPython.core.magics",
    "import IPython.core.oinspect, IPython.core.ultratb, IPython.extensions.storemagic",
    "import IPython.core.logger, faulthandler, sqlite3",
    "import IPython.core.completer as used; used.CompletionSplitter()",
    "import IPython.core.inputtransformer2 as used; used.TransformerManager().transform_cell('0')",
    "import certifi, encodings.utf_8_sig, httpcore",  # which httpx imports at the first request
)


def main() -> None:
    """Execute the imports on the command line, then serve the owner until it ends."""
    # As in a stock kernel, modules in the working folder must not shadow others.
    if sys.path and Path(sys.path[0] or ".").resolve() == Path.cwd():
        del sys.path[0]
    handle, how, *imports = sys.argv[1:]
    # After a restart, the connection that is waiting follows the comma.
    control, *waiting = (socket.socket(fileno=int(number)) for number in handle.split(","))
    # As a kernel sets it: matplotlib is imported before there is one.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    gc.disable()  # imports leave no garbage, and collecting it takes a tenth of the time
    for statement in (*_KERNEL, *imports):
        with contextlib.suppress(Exception):  # the cell that imports it reports the error
            exec(statement, {})
    if how != "once":
        gc.collect()
    gc.freeze()  # children share these objects while the collector does not touch them
    gc.enable()
    files = imported.files()
    versions = imported.versions(files)
    while line := waiting.pop() if waiting else _next(control):
        if how == "once":
            control.close()
            serve(line)
        if imported.versions(files) != versions:
            _restart(control, line, how, imports)
        _fork(control, line)


def _next(control: socket.socket) -> socket.socket | None:
    """Return the connection of the next kernel to its runner; None when the owner is gone."""
    _, handles, *_ = socket.recv_fds(control, 1, 1)
    return socket.socket(fileno=handles[0]) if handles else None


def _fork(control: socket.socket, line: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies, as nothing waits for the children
    if os.fork():
        line.close()
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.close()
    os.setsid()
    inherited_files.reopen()
    serve(line)


def _restart(control: socket.socket, line: socket.socket, how: str, imports: list[str]) -> None:
    for kept in (control, line):
        os.set_inheritable(kept.fileno(), True)
    handles = f"{control.fileno()},{line.fileno()}"
    os.execv(sys.executable, [sys.executable, "-m", __spec__.name, handles, how, *imports])


if __name__ == "__main__":
    main()
