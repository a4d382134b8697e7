"""pm2's daemon over its socket: it lists what `pm2 jlist` lists, or `pm2 jlist` is asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from opsnb.config.target import Target
from opsnb.demo import stack
from opsnb.model import now
from opsnb.systems.host import host_of
from opsnb.systems.processes import pm2, pm2_daemon
from opsnb.systems.processes.process import Process
from opsnb.systems.processes.settings import Processes
from tests.systems.processes.test_checks import pm2_entry

ENTRY = pm2_entry("app", "online")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of pm2, whose path is short enough for a socket."""
    with TemporaryDirectory(prefix="opsnb-") as folder:
        yield Path(folder)


def framed(body: bytes, name: bytes = b"s:opsnb:0", head: int = 0x12) -> bytes:
    parts = [struct.pack(">I", len(part)) + part for part in (body, name)]
    return bytes([head]) + b"".join(parts)


def of(value: Any) -> bytes:
    return framed(b"j:" + json.dumps(value).encode())


@contextmanager
def daemon(home: Path, answer: bytes | None) -> Iterator[list[bytes]]:
    """Answer one request at the socket, in small pieces; never when `answer` is None."""
    asked: list[bytes] = []
    done = threading.Event()

    def work() -> None:
        line, _ = server.accept()
        with line:
            asked.append(line.recv(65536))
            if answer is None:
                done.wait(30)
                return
            for at in range(0, len(answer), 100):
                line.sendall(answer[at : at + 100])

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home / "rpc.sock"))
        server.listen(1)
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        yield asked
        done.set()
        worker.join()


def test_it_is_asked_as_pm2_asks(home: Path) -> None:
    with daemon(home, of({"args": [[ENTRY, ENTRY]]})) as asked:
        assert pm2_daemon.processes(home, 5) == [ENTRY, ENTRY]
    (request,) = asked
    body = b'j:{"type": "call", "method": "getMonitorData", "args": [{}]}'
    assert request == framed(body)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        of({"args": [[ENTRY]]})[:-20],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes([0x12]) + struct.pack(">I", 2**32 - 1),
        framed(b"s:not JSON"),
        framed(b"j:{"),
        framed(b"j:" + b"[" * 100_000),
        framed(b'j:{"args": [[]]}', name=b"s:other:1"),
        of({"error": 'method "getMonitorData" does not exist'}),
        of({"args": [None]}),
        of({"args": [{"app": 1}]}),
        of({"args": [[{"name": "app"}]]}),
        of([]),
    ],
    ids=lambda answer: "never" if answer is None else repr(answer[:30]),
)
def test_where_it_does_not_answer_so_pm2_itself_is_asked(home: Path, answer: bytes | None) -> None:
    with daemon(home, answer):
        assert pm2_daemon.processes(home, 0.5) is None


def test_without_a_socket_of_this_user_pm2_itself_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pm2_daemon.processes(home, 5) is None
    (home / "rpc.sock").write_text("a file")
    assert pm2_daemon.processes(home, 5) is None
    (home / "rpc.sock").unlink()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(home / "rpc.sock"))
    assert pm2_daemon.processes(home, 5) is None  # nobody listens there
    (home / "rpc.sock").unlink()
    with daemon(home, of({"args": [[ENTRY]]})):
        with monkeypatch.context() as other:
            other.setattr("os.geteuid", lambda: 12345)
            assert pm2_daemon.processes(home, 5) is None
        assert pm2_daemon.processes(home, 5) == [ENTRY]


def listed(home: Path, **settings: Any) -> list[Process]:
    of_target = Processes(env={"PM2_HOME": str(home)}, **settings)
    host = host_of(Target(name="t", processes=of_target))
    return pm2.processes(host, of_target, now(), 5)


def test_a_program_that_may_ask_another_daemon_is_asked_itself(home: Path) -> None:
    program = home / "pm2"
    program.write_text(f"#!/bin/sh\necho '{json.dumps([pm2_entry('other', 'online')])}'\n")
    program.chmod(0o755)
    (home / "pm2.pid").write_text("1")
    with daemon(home, of({"args": [[ENTRY]]})):
        (as_another,) = listed(home, command=f"env {program}")
        assert as_another.name == "other"
        (same,) = listed(home, command=str(program))
        assert same.name == "app"


def test_the_daemon_of_the_demo_lists_what_its_pm2_lists(demo: Target) -> None:
    settings = Processes.of(demo)
    over_socket = pm2_daemon.processes(Path(settings.env["PM2_HOME"]), 5)
    assert over_socket is not None
    printed = pm2.parse_pm2(host_of(demo).run([settings.command, "jlist"]), now())
    read = pm2.parse_pm2(json.dumps(over_socket), now())
    assert [steady(process) for process in read] == [steady(process) for process in printed]
    assert {process.name for process in read} == {"app", "worker"}
    assert stack.status().state == "up"


def steady(process: Process) -> Process:
    """Return what does not change from one moment to the next."""
    return replace(process, uptime_s=None, memory_bytes=None, cpu_percent=None, heap_bytes=None)
