"""The stranger: a shop that differs from the demo wherever a production system may differ."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from opsnb.demo import node
from opsnb.demo.home import free_port
from tests.bullmq import Service, installed
from tests.servers.postgres import Server
from tests.stranger import data, deploying, logs, servers
from tests.stranger.combination import Combination

SERVICE = Path(__file__).with_name("service")
NAME = "shop"
PREFIX = "shop"
OTHER_PREFIX = "bull"
REDIS_DB = 3
ADMINISTRATOR = "an administrator's session"
"""Idle in the shop's database, for as long as it runs."""
API, WORKER, NIGHTLY, BROKEN = "shop-api", "shop worker", "nightly-report", "price-import"


@dataclass
class Shop:
    """The system while it runs, and ways to see it that do not lead through opsnb."""

    of: Combination
    folder: Path
    postgres: Server
    pooler_url: str
    redis_port: int
    api_port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def log(self) -> Path:
        """The service's live log."""
        return self.folder / "logs" / "shop.log"

    @property
    def access_log(self) -> Path:
        """The live access log."""
        return self.folder / "logs" / "access.log"

    @property
    def copy(self) -> Path:
        """The working copy that is deployed."""
        return self.folder / "copy"

    @property
    def settings(self) -> Path:
        """What the shop's processes read."""
        return self.folder / "settings.json"

    @property
    def home(self) -> Path:
        """The home folder of whoever runs opsnb: what has no business there shows."""
        return self.folder / "home"

    @property
    def pm2_home(self) -> Path:
        """Where this pm2 keeps what it knows."""
        return self.folder / "pm2 home"

    @property
    def pm2(self) -> Path:
        """pm2's program, which says nothing of its home."""
        return self.folder / "bin" / "pm2"

    @property
    def programs(self) -> Path:
        """The folder of pg_dump and pg_restore."""
        return servers.programs(self.of.postgres)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that opsnb.toml names."""
        user = servers.LOGIN
        return {
            "SHOP_TOKEN": self.token,
            "SHOP_REDIS": self.redis_url(user, servers.PASSWORD),
            "SHOP_DATABASE": self.pooler_url,
            "SHOP_DIRECT": self.postgres.url(user, servers.DATABASE, servers.PASSWORD),
        }

    def redis_url(self, user: str, password: str) -> str:
        """Return the URL of the shop's own database in Redis."""
        return servers.redis_url(self.redis_port, REDIS_DB, user, password)

    @property
    def admin_url(self) -> str:
        """Redis for the other side."""
        return self.redis_url("default", servers.ADMIN_PASSWORD)

    def redis(self, db: int = REDIS_DB) -> redis.Redis:
        """Return a client that may do everything."""
        return servers.admin(self.redis_port, db)

    def query(self, statement: str, database: str = servers.DATABASE) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, past the pooler."""
        return self.postgres.query(statement, database=database)

    def processes(self) -> dict[str, list[dict[str, Any]]]:
        """Return what pm2 itself lists, by name."""
        listed = json.loads(self.run_pm2("jlist"))
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in listed:
            found.setdefault(entry["name"], []).append(entry)
        return found

    def run_pm2(self, *words: str) -> str:
        """Return what pm2 prints."""
        done = subprocess.run(
            [self.pm2, *words],
            env={**os.environ, "PM2_HOME": str(self.pm2_home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def end_strays(self) -> None:
        """End a daemon of pm2 that was started by mistake, with another home."""
        with suppress(OSError, ValueError):
            os.kill(int((self.home / ".pm2" / "pm2.pid").read_text()), signal.SIGKILL)

    @contextmanager
    def bullmq(self, prefix: str = PREFIX) -> Iterator[Service]:
        """Yield BullMQ's own client."""
        with Service(self.of.bullmq, self.admin_url, prefix) as service:
            yield service


@contextmanager
def shop(of: Combination) -> Iterator[Shop]:
    """Yield the system, up and with everything in it."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stranger-")))
        folder.chmod(0o755)
        app = pool.submit(node.install, lambda _: None)
        modules = pool.submit(installed, of.bullmq)
        certificate = pool.submit(_certificate, folder / "tls")
        port = stack.enter_context(servers.redis_server(folder / "redis", of.redis))
        database = stack.enter_context(servers.postgres(of.postgres))
        data.fill_database(database, of)
        administrator = database.url(database=servers.DATABASE, application_name=ADMINISTRATOR)
        stack.enter_context(psycopg.connect(administrator, autocommit=True))
        pooler = stack.enter_context(servers.pooler(folder / "pooler", database))
        url = pooler.url(servers.LOGIN, servers.DATABASE, servers.PASSWORD)
        made = Shop(of, folder, database, url, port)
        made.home.mkdir()
        (folder / "backups").mkdir()
        logs.write(made)
        deploying.make_copy(made)
        certificate.result()
        _describe(made, app.result().folder, modules.result())
        _write_pm2(made, app.result().folder)
        data.fill_redis(made)
        stack.callback(made.run_pm2, "kill")
        made.run_pm2("start", str(made.folder / "ecosystem.json"))
        _write_config(made)
        servers.wait_until(lambda: is_up(made), "the shop is up")
        yield made


def is_up(made: Shop) -> bool:
    """Say whether every process is as it is in the end."""
    found = made.processes()
    states = {name: {each["pm2_env"]["status"] for each in all_} for name, all_ in found.items()}
    log = made.log.read_text()
    return (
        states == {API: {"online"}, WORKER: {"online"}, NIGHTLY: {"stopped"}, BROKEN: {"errored"}}
        and '"msg":"listening"' in log
        and '"msg":"working"' in log
    )


def _describe(made: Shop, app: Path, modules: Path) -> None:
    tls = made.folder / "tls"
    known = {
        "app": app,
        "bullmq": modules,
        "token": made.token,
        "port": made.api_port,
        "key": tls / "server.key",
        "certificate": tls / "server.pem",
        "ca": tls / "ca.pem",
        "redis": made.admin_url,
        "prefix": PREFIX,
        "database": made.pooler_url,
        "log": made.log,
        "accessLog": made.access_log,
        "release": made.copy / "build" / "RELEASE",
        "nightly": made.folder / "nightly",
    }
    made.settings.write_text(json.dumps(known, default=str))


def _write_pm2(made: Shop, app: Path) -> None:
    program = app / "node_modules" / "pm2" / "bin" / "pm2"
    at = node.find_node().node
    made.pm2.parent.mkdir()
    made.pm2.write_text(
        "#!/bin/sh\nexport PM2_DISABLE_VERSION_CHECK=true\n"
        f'export PATH={shlex.quote(str(at.parent))}:"$PATH"\n'
        f'exec {shlex.quote(str(at))} {shlex.quote(str(program))} "$@"\n'
    )
    made.pm2.chmod(0o755)
    output = str(made.folder / "logs" / "output.log")
    common = {
        "cwd": str(made.folder),
        "interpreter": str(at),
        "env": {"SHOP_SETTINGS": str(made.settings)},
        "out_file": output,
        "error_file": output,
        "pmx": False,
        "vizion": False,
    }
    apps: list[dict[str, object]] = [
        {"name": API, "script": "api.cjs", "exec_mode": "cluster", "instances": 2},
        {"name": WORKER, "script": "worker.cjs"},
        {"name": NIGHTLY, "script": "nightly.cjs", "autorestart": False}
        | {"cron_restart": "0 3 * * *"},
        {"name": BROKEN, "script": "broken.cjs", "max_restarts": 2, "min_uptime": 5000},
    ]
    apps = [{**common, **each, "script": str(SERVICE / str(each["script"]))} for each in apps]
    (made.folder / "ecosystem.json").write_text(json.dumps({"apps": apps}))


def _certificate(folder: Path) -> None:
    """Make a company's own CA, and a certificate of localhost that it has signed."""
    folder.mkdir()
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new = "-newkey rsa:2048 -nodes"
    for words in (
        f"req -x509 {new} -days 2 -subj /CN=Company -keyout ca.key -out ca.pem"
        " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign",
        f"req {new} -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
        " -extfile ext -out server.pem",
    ):
        command = ["openssl", *words.split()]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _write_config(made: Shop) -> None:
    """Write opsnb.toml: what an operator of this system would write."""
    of = made.of
    warm = ["env", f"SHOP_SETTINGS={made.settings}", node.find_node().node, SERVICE / "warm.cjs"]
    tables: dict[str, dict[str, Any]] = {
        "": {"protected": True, "logs": [made.log], "access_logs": [made.access_log]},
        "api": {
            "url": f"https://localhost:{made.api_port}",
            "health": "/healthz",
            "queue_stats": "",
            "headers": {"Authorization": "Bearer ${SHOP_TOKEN}"},
            "ca": made.folder / "tls" / "ca.pem",
        },
        "cache": {
            "url": "${SHOP_REDIS}",
            "patterns": ["page:*", "price:*"],
            "warm_up": "" if of.few else warm,
        },
        "queues": {"prefix": PREFIX, "names": data.QUEUES if of.few else []},
        "database": {
            "url": "${SHOP_DATABASE}",
            **({"direct_url": "${SHOP_DIRECT}"} if of.direct else {}),
            "programs": made.programs,
        },
        "processes": {
            "command": made.pm2,
            "env": {"PM2_HOME": made.pm2_home},
            "names": [API, WORKER] if of.few else [],
        },
        "deploy": deploying.settings(made),
    }
    lines = []
    for name, table in tables.items():
        lines.append(f"[targets.{NAME}{f'.{name}' if name else ''}]")
        lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    lines += [f"[[targets.{NAME}.integrity]]"]
    lines += [f"{key} = {_toml(value)}" for key, value in data.INTEGRITY.items()]
    (made.folder / "opsnb.toml").write_text("\n".join(lines) + "\n")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, default=str)
