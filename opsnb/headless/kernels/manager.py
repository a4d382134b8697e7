"""The kernel manager of headless runs and its client: fast to start and to stop."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.manager import AsyncKernelManager
from traitlets import Any as AnyTrait
from traitlets import Type

from opsnb.headless.kernels.forkserver import ForkServer, KernelProcess
from opsnb.headless.kernels.provisioner import POLL_EVERY_S, ForkProvisioner

_ASK_AGAIN_AFTER_S = 0.1
_POLL_S = 0.1


class Channel(AsyncZMQSocketChannel):
    """A channel that polls its socket at short intervals.

    The socket's file descriptor signals each change once. When one task sends while another waits,
    as with a widget, the sender consumes that signal, and a wait without a timeout would never end.
    """

    async def get_msg(  # type: ignore[override] # typed as if it were not asynchronous
        self, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return the next message. Raises Empty when none arrives within `timeout` seconds."""
        ends = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = max(0.0, ends - time.monotonic())
            if await self.socket.poll(int(1000 * min(left, _POLL_S))):
                return await self._recv()
            if left <= _POLL_S:
                raise Empty


class Client(AsyncKernelClient):
    """A client that is ready as soon as both of its channels are."""

    shell_channel_class = Type(Channel)
    iopub_channel_class = Type(Channel)
    control_channel_class = Type(Channel)

    def start_channels(
        self,
        shell: bool = True,
        iopub: bool = True,
        stdin: bool = True,
        hb: bool = False,
        control: bool = True,
    ) -> None:
        """Open the channels. No heartbeat: the manager knows whether the process lives."""
        super().start_channels(shell, iopub, stdin, hb, control)

    async def _async_wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait for a reply on the shell channel and a message on IOPub.

        More messages about these requests may arrive later: nbclient ignores them, as they belong
        to no cell.
        """
        ends = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < ends:
            self.kernel_info()
            try:
                reply = await self.shell_channel.get_msg(timeout=1)
                await self.iopub_channel.get_msg(timeout=_ASK_AGAIN_AFTER_S)
            except Empty:
                if not await self._async_is_alive():
                    raise RuntimeError("Kernel died before replying to kernel_info") from None
                continue
            if reply["msg_type"] == "kernel_info_reply":
                self._handle_kernel_info_reply(reply)
                return
        raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    wait_for_ready = _async_wait_for_ready


class Manager(AsyncKernelManager):
    """A kernel manager over Unix sockets beside its connection file, where possible.

    Other users cannot reach them, and parallel runs cannot collide on a port.
    """

    server = AnyTrait(None, allow_none=True, help="The fork server; None starts a stock kernel.")

    def __init__(self, *, folder: Path | None = None, **kwargs: Any) -> None:
        if os.name == "posix" and folder:
            kwargs |= {"transport": "ipc", "connection_file": str(folder / "kernel.json")}
        super().__init__(**kwargs)
        self.client_factory = Client

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        if isinstance(self.server, ForkServer) and self.provisioner is None:
            self.provisioner = ForkProvisioner(
                kernel_id=self.kernel_id or "", kernel_spec=self.kernel_spec, parent=self
            )
            self.provisioner.server = self.server
        # The output of the process itself is not needed; that of cells is captured.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return await super()._async_pre_start_kernel(**{**kwargs, **quiet})

    pre_start_kernel = _async_pre_start_kernel

    async def _async_wait(self, pollinterval: float = POLL_EVERY_S) -> None:
        process = getattr(self.provisioner, "process", None)
        if isinstance(process, KernelProcess):
            await process.ended()
        await super()._async_wait(pollinterval)

    async def _async_finish_shutdown(
        self,
        waittime: float | None = None,
        pollinterval: float = POLL_EVERY_S,
        restart: bool = False,
    ) -> None:
        await super()._async_finish_shutdown(waittime, pollinterval, restart)
