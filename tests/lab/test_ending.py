"""One signal ends JupyterLab and its kernels, whatever they do."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx
import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.lab.jupyterlab import jupyterlab, until

STUBBORN = """
import pathlib, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("busy").write_text(str(__import__("os").getpid()))
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_it_with_a_kernel_that_ignores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    with jupyterlab(tmp_path / "log", "open", "queues/pause", "-t", "local") as lab:
        found = re.match(r"(http://[^/]+)/.*token=(\w+)", lab.url)
        assert found
        asked = httpx.post(
            f"{found[1]}/api/sessions",
            headers={"Authorization": f"token {found[2]}"},
            json={"path": "queues/pause.ipynb", "type": "notebook", "name": "pause.ipynb"},
            timeout=60,
        )
        kernel = asked.json()["kernel"]["id"]
        file = tmp_path / "runtime" / f"kernel-{kernel}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        client.execute(STUBBORN)
        folder = tmp_path / "state" / "opsnb" / "lab"
        (busy,) = until(lambda: [path for path in folder.rglob("busy") if path.read_text()])
        assert lab.end(number) == 0
        client.stop_channels()
    assert not psutil.pid_exists(int(busy.read_text()))
