"""Small files beside the records that several processes and machines share, such as locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from opsnb.errors import RunBroke
from opsnb.machine import private_files
from opsnb.records import atomic, stored
from opsnb.records.claims import claimed
from opsnb.records.place import Place

_GUARD_S = 20.0  # how long a process that changes a small file may take


class SharedFiles:
    """The small files of a store, by names such as `.locks/x.json`. Methods raise RunBroke."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def create(self, name: str, text: str) -> bool:
        """Create the file `name`; return False when it exists.

        Of several processes that try at the same time, one succeeds, on every store.
        """
        path = self._place.path(name)
        # A driver may check first and write afterwards, which is not exclusive: the guard is. A
        # folder whose guard cannot be locked fails here, not when the file is changed.
        with self._guard(name):
            if self._place.folder:
                with self._place.mapped_errors("written", name):
                    return atomic.create(Path(path), text.encode())
            if self.read(name) is not None:
                return False
            with self._place.mapped_errors("written", name):
                self._place.files.pipe_file(path, text.encode())
        return True

    def read(self, name: str) -> str | None:
        """Return what the file `name` holds, or None when it does not exist."""
        with self._place.mapped_errors("read", name):
            try:
                data = stored.read(self._place.files, self._place.path(name), stored.SMALL_LIMIT)
                return data.decode(errors="replace")
            except FileNotFoundError:
                return None
            except stored.Damaged as error:
                raise RunBroke(f"{name} in {self._place.url} {error}. Remove it.") from error

    def replace(self, name: str, text: str) -> None:
        """Replace the content of the file `name`."""
        path = self._place.path(name)
        with self._place.mapped_errors("written", name):
            if self._place.folder:
                atomic.replace(Path(path).parent, {Path(path).name: text.encode()})
            else:
                self._place.files.pipe_file(path, text.encode())

    def exchange(self, name: str, accepts: Callable[[str], bool], text: str | None) -> bool:
        """Replace the content of the file `name`, or remove it for None, if `accepts` returns True.

        `accepts` is given the present content. Return whether the file was changed. No other
        process changes the file in between.
        """
        with self._guard(name):
            held = self.read(name)
            if held is None or not accepts(held):
                return False
            if text is not None:
                self.replace(name, text)
            else:
                with self._place.mapped_errors("written", name), suppress(FileNotFoundError):
                    self._place.files.rm_file(self._place.path(name))
        return True

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        """Exclude all other processes, on every machine, from changing the file `name`."""
        guarding = f"{name}.guard"
        path = self._place.path(guarding)
        with self._place.mapped_errors("written", guarding):
            if self._place.folder:
                mode = private_files.mode_in(private_files.folder_below(Path(path).parent))
                guard: AbstractContextManager[Any] = FileLock(path, timeout=_GUARD_S, mode=mode)
            else:
                guard = claimed(self._place.files, path)
            with guard:
                yield
