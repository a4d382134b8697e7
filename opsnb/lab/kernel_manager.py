"""The kernels of JupyterLab: one is restarted or ended at a time, whoever asks for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager


class KernelManager(AsyncMappingKernelManager):
    """Ends a kernel that is being restarted only after the restart.

    Both at once fail in jupyter_client with InvalidStateError, and JupyterLab does not end.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Have no kernel yet."""
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def _async_restart_kernel(self, kernel_id: str, now: bool = False) -> Any:
        async with self._turns[kernel_id]:
            return await super()._async_restart_kernel(kernel_id, now=now)  # type: ignore[no-untyped-call]

    async def _async_shutdown_kernel(
        self, kernel_id: str, now: bool | None = False, restart: bool | None = False
    ) -> Any:
        async with self._turns[kernel_id]:
            return await super()._async_shutdown_kernel(kernel_id, now=now, restart=restart)  # type: ignore[no-untyped-call]

    restart_kernel: Any = _async_restart_kernel
    shutdown_kernel: Any = _async_shutdown_kernel
