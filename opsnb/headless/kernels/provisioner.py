"""The kernel provisioner `opsnb` of jupyter_client: forks kernels."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from opsnb.catalog import runbooks
from opsnb.headless.kernels.forkserver import FORKS, ForkServer
from opsnb.headless.kernels.imports import imports

_LAUNCHER = [sys.executable, "-m", "ipykernel_launcher"]
POLL_EVERY_S = 0.005
"""How often to check whether a process has ended."""


@cache
def shared() -> ForkServer:
    """Return the fork server of this process; created once."""
    server = ForkServer(imports(runbooks()))
    atexit.register(server.close)
    return server


class ForkProvisioner(LocalProvisioner):
    """Forks IPython kernels from a process that has imported everything once.

    Other kernels, and all on a platform that cannot fork, start as usual.
    """

    server: ForkServer | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel's process and return how to connect to it."""
        if not FORKS or cmd[:3] != _LAUNCHER:
            return await super().launch_kernel(cmd, **kwargs)
        server = self.server or shared()
        folder = kwargs.get("cwd") or Path.cwd()
        environment = kwargs.get("env", os.environ)
        # In a thread: a server that just started replies only after its imports.
        process = await asyncio.to_thread(
            server.start_kernel, cmd[3:], folder=folder, environment=environment
        )
        self.process: Any = process
        self.pid = self.pgid = process.pid
        self.cwd = folder
        return self.connection_info

    async def wait(self) -> int | None:
        """Wait until the process has ended."""
        while await self.poll() is None:
            await asyncio.sleep(POLL_EVERY_S)
        ended = self.process.wait() if self.process else 0
        self.process = None
        return ended
