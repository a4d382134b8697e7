"""Read the store of records: `<store>/YYYY/MM/<run_id>/{record.ipynb,result.json}`.

Everything that reads past runs reads them here: the command line, the site, schedules, and the
runbooks that compare with earlier runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import OpsnbError, RunBroke, UsageError, did_you_mean
from opsnb.model import RunResult
from opsnb.records import stored
from opsnb.records.index import Index, statement
from opsnb.records.listing import Listing, stamp
from opsnb.records.place import Place
from opsnb.records.stored import NOTEBOOK, RESULT

LATEST = "latest"
RESTORE = "Restore it from a backup of the store, or remove that record."
_SQL = Path(__file__).parent / "sql"
_COMPARED = 100  # run ids that a mistyped one is compared with


def past_runs(
    target: Target, since: datetime, runbooks: Collection[str] = ()
) -> Iterator[RunResult]:
    """Yield the results of the runs on `target` begun at or after `since`, oldest first.

    They are those of `runbooks`, by default of all. Records that cannot be read are left out; when
    the store cannot be read, nothing is yielded, so the caller has to say that nothing is known.
    """
    store = load_config().store
    try:
        yield from Reader(store).results(
            runbook=runbooks, target=target.name, since=since, oldest_first=True
        )
    except OpsnbError:
        return


class Reader:
    """Reads records. What cannot be read is noted in `broken`, not raised, where others can be."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`, an absolute folder or an fsspec URL; it need not exist yet.

        Raises ConfigError when no driver opens such a URL.
        """
        self.place = Place(url)
        self.address, self.url = self.place.address, self.place.url
        self.broken: dict[str, str] = {}
        """Records that could not be read: run id to one sentence that says why."""

    @cached_property
    def index(self) -> Index:
        """What its records say, in tables."""
        return Index(self.place)

    def results(
        self,
        *,
        runbook: str | Collection[str] | None = None,
        target: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
        oldest_first: bool = False,
    ) -> Iterator[RunResult]:
        """Yield the results of runs, newest first, or `oldest_first`.

        They are those of one `runbook` or several, on `target`, begun at or after `since`, at most
        `limit` of them. Only the months and files that are needed are read. A record that cannot be
        read, or belongs to another run than its folder names, is left out and noted in `broken`.
        A result whose links to other runs are damaged is noted there and yielded. Raises RunBroke
        when the store itself cannot be read.
        """
        found = self._results(_names(runbook), target, since, oldest_first)
        return islice(found, None if limit is None else max(limit, 0))

    def _results(
        self, runbooks: Collection[str], target: str | None, since: datetime | None, reverse: bool
    ) -> Iterator[RunResult]:
        index = self.index
        index.refresh(since=since, runbooks=runbooks, target=target)
        self.broken |= index.unread
        asked = {"since": stamp(since), "runbooks": list(runbooks) or None, "target": target}
        candidates = index.read(statement("candidates"), asked)
        for row in reversed(candidates) if reverse else candidates:
            run_id = row["run_id"]
            if row["broken"] and stored.may_be(run_id, runbooks, target):
                self.broken[run_id] = row["broken"]
            if row["is_readable"] and (result := self._readable(run_id)):
                yield result

    def _readable(self, run_id: str) -> RunResult | None:
        """Return the result of a run; None, and a note in `broken`, when it has become damaged."""
        try:
            return self._read_result(run_id)
        except (ValueError, OSError) as error:
            self.broken[run_id] = stored.broken(run_id, error)
            return None

    def continued_by(self, run: RunResult) -> list[RunResult]:
        """Return the last run that continued `run`, if any did."""
        self.index.refresh(runbooks=[run.runbook], target=run.target)
        found = self.index.read(statement("continued_by", _SQL), {"parent": run.run_id})
        return [result for row in found if (result := self._readable(row["run_id"]))]

    def run_ids(self, *, since: datetime | None = None) -> Iterator[str]:
        """Yield the ids of the runs begun at or after `since` (default: of all), newest first."""
        yield from Listing(self.place, self.broken).run_ids(stamp(since))

    def result(self, run_id: str) -> RunResult:
        """Return the result of a run.

        `run_id` may be `latest`, or the beginning or the end of an id that matches no other. Raises
        UsageError when there is no such run, RunBroke when its record cannot be read.
        """
        whole_id = self.find(run_id)
        try:
            result = self._read_result(whole_id)
        except (ValueError, OSError) as error:
            raise RunBroke(stored.broken(whole_id, error)) from error
        self._note_wrong_links(result)
        return result

    def document(self, run_id: str, size: int) -> str | None:
        """Return the text of the result of a run, whole id, that the index has read.

        It is validated again when its size is another than `size`, that of the index. None, and a
        note in `broken`, when it has become damaged.
        """
        try:
            data = stored.read(self.place.files, self._path(run_id, RESULT), stored.RESULT_LIMIT)
            if len(data) != size:
                stored.result(data, run_id)
            return data.decode().strip()
        except (ValueError, OSError) as error:
            self.broken[run_id] = stored.broken(run_id, error)
            return None

    def notebook(self, run_id: str) -> dict[str, Any]:
        """Return the executed notebook of a run. `run_id` and errors as for `result`."""
        whole_id = self.find(run_id)
        path = self._path(whole_id, NOTEBOOK)
        try:
            notebook = from_json(stored.read(self.place.files, path, stored.NOTEBOOK_LIMIT))
            return stored.demand_notebook(notebook)
        except (ValueError, OSError) as error:
            raise RunBroke(f"{NOTEBOOK} of {whole_id} {stored.why(error)}. {RESTORE}") from error

    def folder(self, run_id: str) -> str:
        """Return where the record of a run is: a folder, or a URL. `run_id` as for `result`."""
        return self.place.shown(self._path(self.find(run_id)))

    def has(self, run_id: str) -> bool:
        """Return whether the run with that whole id has a record."""
        return bool(self.place.files.exists(self._path(run_id)))

    def find(self, run_id: str) -> str:
        """Return the whole id of a run. `run_id` and errors as for `result`."""
        if stored.RUN_ID.fullmatch(run_id) and self.has(run_id):
            return run_id
        if run_id == LATEST:
            matches = list(islice(self.run_ids(), 1))
        else:
            matches = [
                known
                for known in self.run_ids()
                if run_id and (known.startswith(run_id) or known.endswith(run_id))
            ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            some = ", ".join(matches[:3]) + (", ..." if len(matches) > 3 else "")
            raise UsageError(
                f"'{run_id}' matches {len(matches)} runs: {some}. Type more of the id."
            )
        raise UsageError(self._unknown(run_id))

    def _unknown(self, run_id: str) -> str:
        recent = list(islice(self.run_ids(), _COMPARED))
        if not recent:
            return f"There is no run '{run_id}': the record store {self.url} is empty."
        near = did_you_mean(run_id, recent)
        hint = near if "Did you mean" in near else " List them with: opsnb records list"
        return f"There is no run '{run_id}' in the record store {self.url}.{hint}"

    def _read_result(self, run_id: str) -> RunResult:
        path = self._path(run_id, RESULT)
        return stored.result(stored.read(self.place.files, path, stored.RESULT_LIMIT), run_id)

    def _note_wrong_links(self, result: RunResult) -> None:
        if wrong := stored.wrong_links(result):
            self.broken[result.run_id] = stored.damaged_link(result.run_id, wrong)

    def _path(self, run_id: str, name: str = "") -> str:
        return self.place.record(run_id, name)


def _names(runbook: str | Collection[str] | None) -> Collection[str]:
    return (runbook,) if isinstance(runbook, str) else runbook or ()
