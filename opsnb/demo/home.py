"""The folder of a demo stack: its paths and its saved settings."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from opsnb.config.places import CONFIG_NAME, demo_home
from opsnb.errors import ConfigError, DemoError, Locked
from opsnb.machine.holder import Holder

Say = Callable[[str], None]
"""Where progress goes, one sentence at a time."""

HOST = "127.0.0.1"
DATABASE = "opsnb_demo"
USER = "opsnb"
QUEUES = ("ai-analysis", "exports", "notifications")
LOCK_WAIT_S = 300.0

# Linux takes 107 bytes for the path of a Unix socket, macOS 103.
SOCKET_PATH_MAX = 103


@dataclass(frozen=True)
class Home:
    """Paths of a stack. Nothing of it is ever outside `root`, but the lock beside it."""

    root: Path

    @classmethod
    def current(cls) -> Home:
        """Return the stack that the environment means."""
        return cls(demo_home())

    @property
    def name(self) -> str:
        """A short name that distinguishes this stack's processes from another's."""
        return "opsnb-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:12]

    @property
    def config(self) -> Path:
        """The target, described as any user would; there only while the stack is up."""
        return self.root / CONFIG_NAME

    @property
    def settings(self) -> Path:
        """Ports and passwords."""
        return self.root / "stack.json"

    @property
    def holder(self) -> Path:
        """The process that brought the stack up last, by which its container is known."""
        return self.root / "holder.json"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.root / "logs"

    @property
    def access_logs(self) -> Path:
        """The folder of the access log, which a fault puts on a disk of its own."""
        return self.logs / "access"

    def unmount(self) -> None:
        """Unmount that disk, if there is one. Raises DemoError when that fails."""
        if not self.access_logs.is_mount():
            return
        # Lazily: the service may be about to write there.
        done = subprocess.run(
            ["umount", "--lazy", self.access_logs], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"{self.access_logs} cannot be unmounted: {done.stderr.strip()}")

    @property
    def faults(self) -> Path:
        """The folder in which a file's name says that a fault is active."""
        return self.root / "faults"

    @property
    def quiet(self) -> Path:
        """While this file exists, nobody uses the service: nothing changes by itself."""
        return self.root / "quiet"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's folder."""
        return self.root / "valkey"

    @property
    def service(self) -> Path:
        """The service's working folder."""
        return self.root / "service"

    @property
    def pm2(self) -> Path:
        """pm2's own folder."""
        return self.root / "pm2"

    @property
    def pm2_command(self) -> Path:
        """The pm2 command of this stack."""
        return self.root / "bin" / "pm2"

    def create(self) -> None:
        """Create the folders. Raises ConfigError when that fails, or they cannot be used."""
        socket_path = str(self.pm2 / "interactor.sock")
        if len(os.fsencode(socket_path)) > SOCKET_PATH_MAX:
            raise ConfigError(
                f"The demo stack's folder {self.root} is too long a path for Unix sockets. "
                "Set OPSNB_DEMO_HOME to a shorter one."
            )
        folders = (
            self.root,
            self.logs,
            self.access_logs,
            self.faults,
            self.postgres,
            self.valkey,
            self.service,
            self.pm2,
            self.pm2_command.parent,
        )
        for folder in folders:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(
                    f"The demo stack's folder {folder} cannot be created: {error.strerror}. "
                    "Set OPSNB_DEMO_HOME to another folder."
                ) from error

    @contextmanager
    def locked(self, say: Say) -> Iterator[None]:
        """Lock the stack; wait while another command holds the lock.

        Raises Locked when the stack runs in another container that shares this folder.
        Raises DemoError when the other one has not ended after five minutes, ConfigError when the
        lock cannot be created.
        """
        path = self.root.with_name(self.root.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                path.stat()  # filelock also waits where no file can be created, as in /proc
                say("Waiting for another command that changes the demo stack.")
                lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout:
            raise DemoError(
                "Another command has been changing the demo stack for five minutes; "
                "end it and try again."
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be created: {error.strerror}. "
                "Set OPSNB_DEMO_HOME to a folder that you can write to."
            ) from error
        try:
            self.demand_here()
            yield
        finally:
            lock.release()

    def demand_here(self) -> None:
        """Raise Locked when the stack runs in another container: its processes are hidden here.

        A server locks its log while it lives, which every container sees.
        """
        try:
            holder = Holder.model_validate_json(self.holder.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if holder.is_elsewhere and any(map(_is_locked, self.logs.glob("*.log"))):
            raise Locked(
                f"The demo stack in {self.root} runs in another container, on {holder.host}. "
                "Run this there, or set OPSNB_DEMO_HOME to another folder."
            )


def _is_locked(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def free_port() -> int:
    """Return a TCP port of the loopback interface that the OS says is free."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Return whether one could listen on `port` of the loopback interface."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


@dataclass
class Settings:
    """Ports and passwords of a stack, chosen once and kept while its folder lives."""

    postgres_port: int = field(default_factory=free_port)
    valkey_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    postgres_password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    valkey_password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @classmethod
    def load(cls, home: Home) -> Settings | None:
        """Return what was saved, or None when nothing was."""
        try:
            return cls(**json.loads(home.settings.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def save(self, home: Home) -> None:
        """Remember these settings."""
        write_private(home.settings, json.dumps(asdict(self), indent=2))

    @property
    def api_url(self) -> str:
        """Base URL of the service."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def dashboard_url(self) -> str:
        """Bull Board."""
        return f"{self.api_url}/admin/queues"

    @property
    def redis_url(self) -> str:
        """URL of Valkey, with its password."""
        return f"redis://:{self.valkey_password}@{HOST}:{self.valkey_port}/0"

    @property
    def database_url(self) -> str:
        """URL of the service's database, with its password."""
        return self.postgres_url(DATABASE)

    def postgres_url(self, database: str) -> str:
        """Return the URL of any database of the server, with its password."""
        return (
            f"postgresql://{USER}:{self.postgres_password}@{HOST}:{self.postgres_port}/{database}"
        )


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write `path` for its owner alone; it appears whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of `log`, indented, to be put below an error's sentence."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    last = text.splitlines()[-lines:]
    return "".join(f"\n  {line}" for line in last)
