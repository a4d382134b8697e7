"""The real systems that tests run on, and a place of its own for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb.config.file import load_target
from opsnb.config.target import Target
from opsnb.demo import faults, stack


def pytest_configure(config: pytest.Config) -> None:
    """Share one cache folder, kept between runs: what npm installs and builds takes minutes."""
    assert config.cache
    os.environ["XDG_CACHE_HOME"] = str(config.cache.mkdir("xdg"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the indexes of the tests' own record stores, which are of no use to another run."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"], "opsnb/records"), ignore_errors=True)


@pytest.fixture(scope="session")
def stack_home() -> Iterator[Path]:
    """The state folder of the suite's own demo stack, which is up.

    Not pytest's folder: its long path would pass the limit of Unix sockets.
    """
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        home = Path(folder, "demo")
        before = os.environ.get("OPSNB_DEMO_HOME")
        os.environ["OPSNB_DEMO_HOME"] = str(home)
        try:
            stack.up(lambda _: None)
            yield home
        finally:
            os.environ["OPSNB_DEMO_HOME"] = str(home)
            stack.down(lambda _: None)
            os.environ.pop("OPSNB_DEMO_HOME")
            if before is not None:
                os.environ["OPSNB_DEMO_HOME"] = before


@pytest.fixture
def demo(stack_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """The demo target, healthy; whatever fault a test injects is cleared after it."""
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(stack_home))
    yield load_target("demo")
    for name in faults.active():
        faults.clear(name)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the developer's own configuration, records and demo stack."""
    for name in ("OPSNB_CONFIG", "OPSNB_INCIDENT", "REDIS_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "no-demo"))
    monkeypatch.setenv("OPSNB_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OPSNB_RESIDENT", "off")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 256 KiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "opsnb-test", folder],
        check=False,
        capture_output=True,
        text=True,
    ) if shutil.which("mount") else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)
