"""The runs of all working copies in one JupyterLab."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.headless.order import source_of
from opsnb.lab import cells, copies
from opsnb.lab.run import Run
from opsnb.model import RunResult
from opsnb.records.store import Store


class Recorder:
    """The runs of one JupyterLab, by the paths of their working copies."""

    def __init__(self, root: Path, store: Store) -> None:
        """`root` is the folder of the working copies."""
        self._root = root
        self._store = store
        self.runs: dict[str, Run] = {}
        """The runs that have begun, by path."""
        self._turn = threading.Lock()

    def run(self, path: str) -> Run | None:
        """Return the run of the working copy at `path`, begun if necessary; None for other files.

        Raises OpsnbError when it cannot begin.
        """
        with self._turn:
            if path not in self.runs and (info := self._runbook(path)):
                source = source_of(info)
                self.runs[path] = Run(self._store, info, source, self._root, self._root / path)
            return self.runs.get(path)

    def parameters(self, path: str) -> dict[str, Any]:
        """Return the parameters of the working copy at `path`; none for other files."""
        if not self._runbook(path):
            return {}
        return cells.parameters(json.loads((self._root / path).read_bytes()))

    def forget(self, path: str) -> RunResult | None:
        """End the run at `path`, if any; the next one there is another run.

        Return its result; None when it has no record. Raises OpsnbError when the record cannot be
        written.
        """
        with self._turn:
            run = self.runs.pop(path, None)
        return run.close() if run else None

    def _runbook(self, path: str) -> RunbookInfo | None:
        """Return the runbook that the file at `path` is a copy of."""
        file = self._root / path
        if not path.endswith(".ipynb") or self._root not in file.resolve().parents:
            return None
        try:
            return copies.runbook_of(json.loads(file.read_bytes()))
        except (OSError, ValueError, AttributeError):
            return None

    def moved(self, old: str, new: str) -> None:
        """Follow a working copy, or a folder of them, to its new path."""
        with self._turn:
            for path in [path for path in self.runs if f"{path}/".startswith(f"{old}/")]:
                moved = new + path.removeprefix(old)
                self.runs[moved] = self.runs.pop(path)
                self.runs[moved].path = self._root / moved

    def close(self) -> Iterator[RunResult | Exception]:
        """End all runs. Yield the result of each that has a record, or its error."""
        with self._turn:
            for run in self.runs.values():
                try:
                    if result := run.close():
                        yield result
                except Exception as error:  # noqa: BLE001 - one failure must not keep the others from ending
                    yield error
            self.runs.clear()
