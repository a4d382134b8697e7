"""Old logs: which there are under the target's log folders, and removing them.

Handbook, section 9.1. Never the live files nor one that a process holds open, no symbolic link is
followed, no other file system is entered. Linux is expected, here and over ssh.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import NotConfigured, Refused
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import Host, ProgramFailed, host_of
from opsnb.systems.logs.rotation import siblings
from opsnb.systems.logs.settings import Logs
from opsnb.view.formats import MIB

_SYSTEM = "logs"
_LIMIT_S = 60.0
_AT_ONCE = 100
_MOST_ROWS = 50
_MOST_FILES = 10_000
_DAY_MIN = 24 * 60
_OPEN_FILES = 'exec find /proc/[0-9]*/fd "$@"'
_NAMES = ("*.log", "*.log.*", "*.log-*", "*.log_*")
# A folder for logs alone says so in its path. In another, such as the service's own, files of a
# database are called *.log too: only the rotated siblings of the service's logs may go there.
_FOR_LOGS = re.compile(r"(?<![a-z])logs?(?![a-z])", re.IGNORECASE)
_SHARED = frozenset(("/var/log",))
# Of these a log's folder is never one: all of the machine would be looked through.
_NO_LOG_FOLDERS = frozenset(
    f"/{name}".rstrip(".")
    for name in (
        *(".", "bin", "boot", "dev", "etc", "home", "lib", "opt", "proc", "root", "run", "sbin"),
        *("srv", "sys", "tmp", "usr", "var"),
    )
)


@dataclass(frozen=True)
class OldLog:
    """A log that was last written to long ago."""

    path: str
    size: int
    """In bytes."""
    written: float
    """When it was last written to, in seconds since 1970."""

    def row(self) -> Row:
        """Return what is shown of it."""
        return {
            "file": self.path,
            "mib": round(self.size / MIB, 2),
            "written": f"{datetime.fromtimestamp(self.written, UTC):%Y-%m-%d}",
        }


@action(needs=(HOST,))
def clear(target: Target, former: ActionRecord | None, older_than_days: float = 30) -> Plan:
    """Clear old logs.

    Removes the files under the folders of the target's logs that are named as logs, have not been
    written to for `older_than_days` days and are held open by no process. Raises NotConfigured
    when the target names no logs, Refused when one of the folders is none for logs alone.
    """
    days = former.terms["days"] if former else older_than_days
    host = _host(target)
    folders, live = _places(target, host)
    found, held = _unheld(host, folders, _old(host, folders, live, days))

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for start in range(0, len(found), _AT_ONCE):
            _remove(_host(target), folders, found[start : start + _AT_ONCE], days)
            yield min(start + _AT_ONCE, len(found))

    size = sum(each.size for each in found)
    names = " and ".join(folders)
    return Plan(
        summary=_summary(names, found, held, days),
        planned=len(found),
        unit="files",
        command=f'find {names} -name "*.log" -mtime +{days:g} -delete',
        undo="",
        work=work,
        verify=lambda: [_effect(target, folders, live, days)],
        sample=[each.row() for each in found[:_MOST_ROWS]],
        bytes=size,
        basis=[each.path for each in found],
        terms={"days": days},
    )


def _summary(names: str, found: Sequence[OldLog], held: int, days: float) -> str:
    size = sum(each.size for each in found)
    what = (
        f"Remove {len(found):,} logs under {names} that nobody has written to for {days:g} days, "
        f"{size / MIB:,.1f} MiB."
        if found
        else f"No log under {names}{' that could go' if held else ''} is older than {days:g} days."
    )
    if not held:
        return what
    stay = "stays because a process holds it" if held == 1 else "stay because processes hold them"
    return f"{what} {held:,} {'more ' if found else ''}{stay} open."


def _host(target: Target) -> Host:
    return host_of(target, _SYSTEM, _LIMIT_S)


def _places(target: Target, host: Host) -> tuple[list[str], set[str]]:
    """Return the folders of the target's logs, and the live files themselves."""
    named = [host.expand(path) for path in (*Logs.of(target).files, *Logs.of(target).access)]
    if not named:
        raise NotConfigured(_SYSTEM, f"Target {target.name} names no logs in opsnb.toml.")
    live = set(_resolved(host, named))
    folders = sorted(set(_resolved(host, [posixpath.dirname(path) or "." for path in named])))
    for folder in folders:
        if folder in _NO_LOG_FOLDERS:
            raise Refused(
                f"{folder} holds more than logs, so nothing is cleared there; let the service "
                f"write them into a folder of their own, and name that in logs of {target.name}."
            )
    return folders, live


def _resolved(host: Host, paths: Sequence[str]) -> list[str]:
    """Return the real paths, whether they exist or not."""
    return host.run(["realpath", "-zm", "--", *paths], _LIMIT_S).rstrip("\0").split("\0")


def _old(host: Host, folders: Sequence[str], live: set[str], days: float) -> list[OldLog]:
    deep = [each for each in folders if each not in _SHARED and _FOR_LOGS.search(each)]
    shared = [each for each in folders if each not in deep]
    listed = "".join(
        _listed(host, places, depth, days)
        for places, depth in ((deep, []), (shared, ["-maxdepth", "1"]))
        if places
    )
    found = set()  # a folder inside another is looked through twice, unless it is a disk of its own
    for line in listed.split("\0")[:-1]:
        written, size, path = line.split(" ", 2)
        # A name that is no text cannot be shown, so it is not removed either.
        if path not in live and "\ufffd" not in path:
            found.add(OldLog(path, int(size), float(written)))
    own = _siblings(shared, live, [each.path for each in found])
    chosen = [
        each for each in found if posixpath.dirname(each.path) not in shared or each.path in own
    ]
    return sorted(chosen, key=lambda each: each.written)[:_MOST_FILES]


def _listed(host: Host, folders: Sequence[str], depth: Sequence[str], days: float) -> str:
    names = [word for name in _NAMES for word in ("-o", "-name", name)][1:]
    age = ["-mmin", f"+{days * _DAY_MIN:.0f}", "-printf", r"%T@ %s %p\0"]
    argv = ["find", *folders, *depth, "-xdev", "-type", "f", "(", *names, ")", *age]
    return host.run(argv, _LIMIT_S)


def _siblings(folders: Sequence[str], live: set[str], paths: Sequence[str]) -> set[str]:
    """Return the `paths` in `folders` that are rotated files of a live log."""
    found: set[str] = set()
    for folder in folders:
        names = [posixpath.basename(path) for path in paths if posixpath.dirname(path) == folder]
        for path in live:
            if posixpath.dirname(path) == folder:
                rotated = siblings(posixpath.basename(path), names)
                found.update(posixpath.join(folder, name) for name in rotated)
    return found


def _unheld(
    host: Host, folders: Sequence[str], found: Sequence[OldLog]
) -> tuple[list[OldLog], int]:
    """Return the files that no process holds open, and how many are open.

    A quiet service writes no line for long: its log is alive, and what it would write into a
    removed file is lost.
    """
    held = _held(host, folders) if found else set()
    free = [each for each in found if each.path not in held]
    return free, len(found) - len(free)


def _held(host: Host, folders: Sequence[str]) -> set[str]:
    """Return the files under `folders` that are open, as far as this user may see it."""
    words = [word for each in folders for word in ("-o", "-lname", f"{_literal(each)}/*")][1:]
    try:
        held = host.run(
            ["sh", "-c", _OPEN_FILES, "sh", "(", *words, ")", "-printf", r"%l\0"], _LIMIT_S
        )
    except ProgramFailed as error:
        held = error.output  # other users' processes, and those that ended meanwhile
    return set(held.split("\0")) - {""}


def _literal(path: str) -> str:
    """Return a pattern that matches only `path`."""
    return re.sub(r"([\\*?\[])", r"\\\1", path)


def _remove(host: Host, folders: Sequence[str], old: Sequence[OldLog], days: float) -> None:
    """Remove the files that are still that old, still files, and still not open."""
    found, _ = _unheld(host, folders, old)
    if not found:
        return
    age = ["-maxdepth", "0", "-type", "f", "-mmin", f"+{days * _DAY_MIN:.0f}", "-delete"]
    # One that is gone already, or may not be removed, is no reason to leave the others; what is
    # left is measured afterwards.
    with suppress(ProgramFailed):
        host.run(["find", *(each.path for each in found), *age], _LIMIT_S)


def _effect(target: Target, folders: Sequence[str], live: set[str], days: float) -> Finding:
    host = _host(target)
    left, _ = _unheld(host, folders, _old(host, folders, live, days))
    message = f"{len(left) or 'No'} logs older than {days:g} days are left."
    return Finding(
        status=Status.WARN if left else Status.OK,
        message=message,
        value=len(left),
        unit="files",
        rows=[each.row() for each in left[:_MOST_ROWS]],
    )
