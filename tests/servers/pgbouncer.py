"""pgbouncer before a server, in transaction mode unless a test wants another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from opsnb.demo.home import free_port
from tests.servers.postgres import SUPERUSER, Server, as_account, folder, url_of

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
"""Debian's package `pgbouncer`; None where it is not installed."""

_START_S = 30.0


@dataclass
class Pooler:
    """A pgbouncer that runs. Each login is trusted."""

    port: int
    log: Path

    def url(
        self,
        role: str = SUPERUSER,
        database: str = SUPERUSER,
        password: str = "",
        **parameters: str,
    ) -> str:
        """Return the URL of a database through the pooler."""
        return url_of(self.port, role, database, password, parameters)

    @property
    def console(self) -> str:
        """The URL of its own console."""
        return self.url(SUPERUSER, "pgbouncer")


@contextmanager
def pgbouncer(
    server: Server, *databases: str, pool_mode: str = "transaction", **settings: str
) -> Iterator[Pooler]:
    """Yield a pooler before `server`, for all of its databases or those named.

    `alias=name` is one under another name. Every role may log in; `settings` are those of
    pgbouncer.ini.
    """
    if not PROGRAM:
        reason = "pgbouncer is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with folder() as root:
        pooler = Pooler(free_port(), root / "log")
        _configure(root, server, pooler, databases or ("*",), {"pool_mode": pool_mode, **settings})
        with pooler.log.open("ab") as output:
            process = subprocess.Popen(
                [str(PROGRAM), str(root / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **as_account(),
            )
        try:
            ends = time.monotonic() + _START_S
            while not _answers(pooler):
                if process.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError(
                        f"pgbouncer did not start:\n{pooler.log.read_text()[-3000:]}"
                    )
                time.sleep(0.05)
            yield pooler
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _configure(
    root: Path, server: Server, pooler: Pooler, databases: tuple[str, ...], settings: dict[str, str]
) -> None:
    roles = [name for (name,) in server.query("SELECT rolname FROM pg_roles WHERE rolcanlogin")]
    (root / "users.txt").write_text("".join(f'"{name}" ""\n' for name in roles))
    known = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(pooler.port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(root / "users.txt"),
        "admin_users": SUPERUSER,
        "default_pool_size": "4",
        "server_tls_sslmode": "disable",
        **settings,
    }
    lines = ["[databases]"]
    for name, _, real in (name.partition("=") for name in databases):
        itself = f" dbname={real}" if real else ""
        lines.append(f"{name} = host=127.0.0.1 port={server.port}{itself}")
    lines += ["[pgbouncer]", *(f"{name} = {value}" for name, value in known.items())]
    (root / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    (root / "pgbouncer.ini").chmod(0o644)
    (root / "users.txt").chmod(0o644)


def _answers(pooler: Pooler) -> bool:
    try:
        with psycopg.connect(pooler.console, connect_timeout=2, autocommit=True):
            return True
    except psycopg.OperationalError:
        return False
