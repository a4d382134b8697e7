"""Two containers that share the state folder never both start the demo stack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb.errors import ExitCode

_CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def demo(word: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "opsnb", "demo", word],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_stack_in_another_container_is_neither_started_nor_stopped_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    trial = [*_CONTAINER, *user, "true"]
    if not shutil.which("unshare") or subprocess.run(trial, check=False).returncode:
        pytest.skip("no PID namespaces here")
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "demo"))
    script = f"{sys.executable} -m opsnb demo up >&2 && echo up && read -r _"
    with subprocess.Popen(
        [*_CONTAINER, *user, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as container:
        try:
            assert container.stdout
            assert container.stdout.readline() == "up\n"
            for word in ("up", "down", "status"):
                refused = demo(word)
                assert refused.returncode == ExitCode.LOCKED, refused.stdout + refused.stderr
                assert "runs in another container" in refused.stderr
                assert "OPSNB_DEMO_HOME" in refused.stderr
        finally:
            container.kill()  # and with it, every process of the container
    freed = demo("down")
    assert freed.returncode == 0, freed.stderr
    assert not (tmp_path / "demo").exists()
