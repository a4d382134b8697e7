"""Kernels of JupyterLab that are restarted and ended at the same time."""

from __future__ import annotations

import asyncio

from opsnb.lab.kernel_manager import KernelManager


def test_a_kernel_that_is_being_restarted_ends_with_jupyterlab() -> None:
    async def ended() -> list[str]:
        kernels = KernelManager()
        kernel_id = await kernels.start_kernel(kernel_name="python3")
        restart = asyncio.create_task(kernels.restart_kernel(kernel_id))
        await asyncio.sleep(0)  # lets the restart begin
        await kernels.shutdown_all(now=True)
        await restart
        return kernels.list_kernel_ids()

    assert asyncio.run(ended()) == []
