"""The files of a log on the host: those that are configured, and their rotated siblings."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from opsnb.checks import evidence
from opsnb.errors import BadAnswer
from opsnb.systems.host import Host
from opsnb.systems.logs.rotation import PACKED, UNREADABLE, siblings

_GLOB = re.compile(r"[*?\[]")
_STATS = (
    'for f; do if [ -e "$f" ]; then stat -Lc "%F|%d:%i|%s|%Y|%n" -- "$f"; '
    'readlink -f -- "$f"; fi; done'
)
_GRACE_S = 120.0  # by which a file's time of writing and the times in it may differ


@dataclass(frozen=True)
class LogFile:
    """A file on the host."""

    path: str
    identity: str
    size: int
    written: float
    """When it was last written to, in seconds since 1970."""
    real: str
    """Its real path."""

    @property
    def packing(self) -> str:
        """The ending of its name that shows how it is packed, else empty."""
        ending = posixpath.splitext(self.path)[1]
        return ending if ending in (*PACKED, *UNREADABLE) else ""


@dataclass
class LogFiles:
    """Finds the files of logs on `host` that reach back to `since` (seconds since 1970)."""

    host: Host
    since: float
    notes: list[str] = field(default_factory=list)
    """Remarks on the files, as sentences."""

    def paths(self, configured: Iterable[str]) -> list[str]:
        """Return the logs that are configured, with the files that a pattern such as *.log names.

        Raises BadAnswer when the pattern matches nothing.
        """
        found: dict[str, None] = {}
        for path in configured:
            expanded = self.host.expand(path)
            if not _GLOB.search(expanded) or self._files([expanded]):
                found[expanded] = None
                continue
            matches = self._matching(expanded)
            if not matches:
                evidence.partial(f"{path} matches no file on {self.host.name}; correct `logs`")
            found.update(dict.fromkeys(matches))
        if not found:
            raise BadAnswer(
                self.host.system,
                f"{', '.join(configured)} matches no file on {self.host.name}; correct `logs`.",
            )
        return list(found)

    def _matching(self, path: str) -> list[str]:
        """Return the files that match a shell pattern, folder by folder."""
        folders = ["/" if path.startswith("/") else ""]
        for part in path.strip("/").split("/"):
            if not _GLOB.search(part):
                folders = [posixpath.join(folder, part) for folder in folders]
                continue
            deeper = []
            for folder in folders:
                try:
                    names = self.host.names_in(folder or ".")
                except BadAnswer:
                    continue
                chosen = fnmatch.filter(names, part)
                deeper += [
                    posixpath.join(folder, name)
                    for name in sorted(chosen)
                    if part.startswith(".") or not name.startswith(".")
                ]
            folders = deeper
        return [each.path for each in self._files(folders)]

    def _files(self, paths: Sequence[str]) -> list[LogFile]:
        """Return the `paths` that are regular files, or links to one."""
        if not self.host.is_local:
            return self._remote_files(paths)
        found = []
        for path in paths:
            try:
                seen = Path(path).stat()
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(seen.st_mode):
                identity = f"{seen.st_dev}:{seen.st_ino}"
                real = os.path.realpath(path)
                found.append(LogFile(path, identity, seen.st_size, seen.st_mtime, real))
        return found

    def _remote_files(self, paths: Sequence[str]) -> list[LogFile]:
        if not paths:
            return []
        found = []
        lines = self.host.run(["sh", "-c", _STATS, "sh", *paths]).splitlines()
        for line, real in zip(lines[::2], lines[1::2], strict=False):
            kind, _, rest = line.partition("|")
            if kind.startswith("regular"):
                identity, size, written, path = rest.split("|", 3)
                found.append(LogFile(path, identity, int(size), float(written), real))
        return found

    def of_window(self, path: str) -> list[LogFile]:
        """Return the log at `path` and its siblings that reach into the window, oldest first."""
        live = self._files([path])
        names = self._sibling_names(path, live)
        rotated = self._files(names)
        if not live and not rotated:
            self.host.head(path, 1)  # says why it cannot be read
            raise BadAnswer(
                self.host.system,
                f"{path} on {self.host.name} cannot be read: not a regular file.",
            )
        self._say_silent(path, live, rotated)
        wanted = [each for each in rotated if each.written >= self.since - _GRACE_S]
        order = {name: place for place, name in enumerate(names)}
        wanted.sort(key=lambda each: order[each.path], reverse=True)
        if live and live[0].written < self.since - _GRACE_S:
            live = []
        return [*wanted, *live]

    def _say_silent(self, path: str, live: list[LogFile], rotated: list[LogFile]) -> None:
        newest = max((each.written for each in (*live, *rotated)), default=0.0)
        written = f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%M:%S} UTC"
        if not live:
            self.notes.append(f"{path} does not exist now; its rotated files were read.")
            if newest < self.since:
                evidence.partial(
                    f"what was written to {path} since {written}: there is no such file now; "
                    "correct `logs`, or start the service"
                )
        elif not live[0].size and newest < self.since:
            self.notes.append(f"{path} is empty.")
        elif newest < self.since:
            self.notes.append(f"{path} is silent: its last line was written at {written}.")

    def _sibling_names(self, path: str, live: list[LogFile]) -> list[str]:
        places = dict.fromkeys((path, *(each.real for each in live)))
        found: dict[str, None] = {}
        for place in places:
            folder, name = posixpath.split(place)
            try:
                names = self.host.names_in(folder or ".")
            except BadAnswer as error:
                if not live:
                    self.host.head(path, 1)  # says why it cannot be read
                evidence.partial(f"rotated files of {path}: {str(error).rstrip('.')}")
                continue
            found.update((posixpath.join(folder, each), None) for each in siblings(name, names))
        return list(found)
