"""Where the resident of this user listens that is exactly like this process.

Whatever a process cannot change after its imports, or must not choose itself (rights, limits,
namespaces), is part of the address: a run finds only a resident in which it would be the same run.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import opsnb
from opsnb.config.places import find_config

# What the imports of a run read of the environment. Values may be seen in the resident's own.
_READ_BY_IMPORTS = frozenset(
    {"HOME", "IN_SPHINX_RUN", "LANG", "LANGUAGE", "MSGPACK_PUREPYTHON", "USER"}
)
_READ_BY_THEIR_BEGINNING = (
    "PYTHON", "_PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_", "ANDROID_", "JUPYTER_ALLOW_",
    "JUPYTER_PLATFORM_", "JUPYTER_USE_", "PSUTIL_", "PYDANTIC_", "PYZMQ_", "TORNADO_",
    "TRAITLETS_", "TYPER_", "_TYPER_", "IPYTHON_TESTING_",
)  # fmt: skip
# What a process may change at any time, and its children do.
_CHANGEABLE = ("PATH", "TMPDIR", "TZ")
_OF_CONFIG = "OPSNB_CONFIG"

_STATUS = (
    "Umask:", "Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",
    "NoNewPrivs:", "Seccomp:", "Cpus_allowed:", "Mems_allowed:",
)  # fmt: skip
_OTHERS = 0o077
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


def is_read_by_imports(variable: str) -> bool:
    """Return whether imports may read this variable of the environment."""
    return variable in _READ_BY_IMPORTS or variable.startswith(_READ_BY_THEIR_BEGINNING)


def environment() -> dict[str, str]:
    """Return the environment of a resident: no secret, and nothing that is one caller's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if is_read_by_imports(name) or name in _CHANGEABLE
    }
    config = find_config()
    return {**kept, _OF_CONFIG: str(config)} if config else kept


def path() -> Path | None:
    """Return the path of the socket, in a folder of this user alone; None when there is none.

    Raises OSError and ConfigError where the surroundings cannot be read.
    """
    folder = _folder()
    if folder is None:
        return None
    digest = hashlib.blake2b("\0".join(_surroundings()).encode(errors="surrogateescape"))
    return folder / f"{digest.hexdigest()[:24]}.sock"


def _surroundings() -> Iterator[str]:
    yield from (opsnb.__version__, opsnb.__file__, sys.executable, sys.version)
    yield from sys.path[1:]  # the first is the folder of the script
    yield str(find_config())
    yield from (f"{key}={os.environ[key]}" for key in sorted(os.environ) if is_read_by_imports(key))
    yield from (str(entry.readlink()) for entry in sorted(Path("/proc/self/ns").iterdir()))
    root = Path("/").stat()
    yield f"{root.st_dev} {root.st_ino}"
    status = Path("/proc/self/status").read_text().splitlines()
    yield from (line for line in status if line.startswith(_STATUS))
    yield f"{os.getpriority(os.PRIO_PROCESS, 0)} {os.sched_getscheduler(0)}"
    for name in ("cgroup", "limits", "loginuid", "oom_score_adj", "attr/current"):
        with suppress(OSError):  # a kernel may lack some
            yield Path("/proc/self", name).read_text()


def _folder() -> Path | None:
    """Return the folder of sockets, made if needed; None when it is not this user's alone."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and _is_private(runtime):
        folder = runtime / "opsnb"
    else:
        folder = Path(os.environ.get("TMPDIR") or "/tmp", f"opsnb-{os.getuid()}")
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    return folder if folder.is_absolute() and _is_private(folder) else None


def _is_private(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = found.st_uid == os.getuid() == os.geteuid()
    return mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & _OTHERS


def is_of_this_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end is this user's."""
    size = _CREDENTIALS.size
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = _CREDENTIALS.unpack(told)
    return bool(uid == os.getuid())
