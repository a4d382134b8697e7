"""A real RabbitMQ on loopback: ports, data and Erlang's port mapper of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

# Debian's own wrappers in /usr/sbin insist on the user and folders of the system's service.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
_STARTS_WITHIN_S = 120.0

ADMIN_PASSWORD = "Kaninchen-4711"


@dataclass(frozen=True)
class Broker:
    """Where it listens, and how a test sets its stage."""

    port: int
    """Of the management API."""
    environment: dict[str, str] = field(repr=False)
    http: httpx.Client = field(repr=False)

    def url(self, user: str = "admin", password: str = ADMIN_PASSWORD) -> str:
        """Return the management API's URL for one of its users."""
        return f"http://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the management API as an administrator; return its answer."""
        answer = self.http.request(method, f"/api/{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def user(self, name: str, *, tags: str, vhost: str = "") -> str:
        """Make a user, with all rights in `vhost`; return the URL that logs in as it."""
        password = f"{name}-Moehre-0815"
        self.call("PUT", f"users/{name}", {"password": password, "tags": tags})
        if vhost:
            rights = {"configure": ".*", "write": ".*", "read": ".*"}
            self.call("PUT", f"permissions/{quote(vhost, safe='')}/{name}", rights)
        return self.url(name, password)

    def vhost(self, name: str, queues: dict[str, int]) -> None:
        """Make a virtual host with these queues, each with so many messages that are ready."""
        self.call("PUT", f"vhosts/{name}")
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", f"permissions/{name}/admin", rights)
        for queue, messages in queues.items():
            self.call("PUT", f"queues/{name}/{quote(queue, safe='')}", {"durable": True})
            for number in range(messages):
                self.publish(name, queue, f"message {number}")
        self.wait_for(name, queues)

    def publish(self, vhost: str, queue: str, text: str) -> None:
        """Put a message into a queue."""
        message = {
            "properties": {},
            "routing_key": queue,
            "payload": text,
            "payload_encoding": "string",
        }
        self.call("POST", f"exchanges/{vhost}/amq.default/publish", message)

    def ready(self, vhost: str) -> dict[str, int | None]:
        """Return how many messages of each queue are ready, as far as it is measured yet."""
        return {
            each["name"]: each.get("messages_ready") for each in self.call("GET", f"queues/{vhost}")
        }

    def wait_for(self, vhost: str, queues: dict[str, int]) -> None:
        """Wait until the statistics, which follow a moment later, show these queues."""
        _until(lambda: self.ready(vhost).items() >= queues.items())

    def control(self, *words: str) -> None:
        """Run `rabbitmqctl`, for what the API does not offer."""
        subprocess.run(
            [PROGRAMS / "rabbitmqctl", *words],
            env=self.environment,
            check=True,
            capture_output=True,
        )


@contextmanager
def running(folder: Path) -> Iterator[Broker]:
    """Yield a broker that keeps its data in `folder`, and end it after that."""
    ports = dict(zip(("epmd", "amqp", "distribution", "api"), _free_ports(4), strict=True))
    environment = _configured(folder, ports)
    with ExitStack() as stack:
        # Erlang would start its port mapper as a daemon that outlives the tests.
        mapper = ["epmd", "-address", "127.0.0.1", "-port", str(ports["epmd"])]
        stack.enter_context(_process(mapper, environment, folder / "epmd.log"))
        server = stack.enter_context(
            _process([PROGRAMS / "rabbitmq-server"], environment, folder / "server.log")
        )
        http = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{ports['api']}",
                auth=("admin", ADMIN_PASSWORD),
                timeout=30,
            )
        )
        broker = Broker(ports["api"], environment, http)

        def answers() -> bool:
            assert server.poll() is None, (folder / "server.log").read_text()
            try:
                return bool(broker.call("GET", "overview"))
            except httpx.HTTPError:  # the API answers 404 until all of it is there
                return False

        _until(answers)
        yield broker


def _configured(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    """Write the server's configuration; return the environment that it is started in."""
    settings = {
        "listeners.tcp.default": f"127.0.0.1:{ports['amqp']}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": ports["api"],
        "collect_statistics_interval": 500,
        "default_user": "admin",
        "default_pass": ADMIN_PASSWORD,
        "disk_free_limit.absolute": "1MB",
    }
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    (folder / "rabbitmq.conf").write_text("".join(lines))
    (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
    (folder / "environment").touch()
    home = folder / "home"
    home.mkdir()
    return {
        **os.environ,
        "HOME": str(home),  # where Erlang keeps its cookie
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "RABBITMQ_NODENAME": "opsnb@localhost",
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
    }


@contextmanager
def _process(
    command: Sequence[str | Path], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _until(holds: Any, seconds: float = _STARTS_WITHIN_S) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "RabbitMQ did not come to the expected state in time."
        time.sleep(0.1)
