"""The store of records: `<store>/YYYY/MM/<run_id>/{record.ipynb,result.json}`.

The store is a folder or any fsspec URL. A record appears whole or not at all: in a folder it is
written aside and renamed into place; elsewhere, where nothing can be renamed at a stroke,
`result.json` is written last and a record without it does not count.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count, groupby
from pathlib import Path
from typing import Any

import fsspec
from filelock import FileLock
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError
from pydantic_core import from_json

from opsnb.errors import ConfigError, OpsnbError, RunBroke, UsageError, did_you_mean
from opsnb.machine import private_files
from opsnb.model import RunResult
from opsnb.records import stored
from opsnb.records.bounds import bound, shallow, shortened, trim
from opsnb.records.claims import claimed
from opsnb.records.extract import METADATA_KEY, rebuild, stamp
from opsnb.redaction import Redactor, safe_url

NOTEBOOK = "record.ipynb"
RESULT = stored.RESULT
LATEST = "latest"

_WRITING = ".writing"
_ABANDONED_AFTER_S = 24 * 3600.0  # no record takes a day to write
_GUARD_S = 20.0  # how long a process that changes a small file may take
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_LINKED = 2
_REINDEX = "Make it again with: opsnb records reindex"
_RESTORE = "Restore it from a backup of the store, or remove that record."
_RECENT = 100  # how many run ids a mistyped one is compared with


def new_run_id(runbook: str, target: str, started: datetime) -> str:
    """Return an id such as `20261123T071500Z-health.daily-demo-7f3a`, which sorts by time.

    `started` must know its time zone.
    """
    when = started.astimezone(UTC).strftime(stored.STAMP)
    return f"{when}-{stored.id_part(runbook)}-{stored.id_part(target)}-{_suffix()}"


# From a random one upwards: many runs of one process in the same second cannot have the same.
_suffixes = count(secrets.randbelow(0x10000))


def _suffix() -> str:
    return f"{next(_suffixes) % 0x10000:04x}"


class _Taken(Exception):
    """Another record has that run id."""


class Store:
    """Records, written once and read many times; only that of an open run is brought up to date."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`, an absolute folder or an fsspec URL; it need not exist yet.

        Raises ConfigError when there is no driver for such a URL.
        """
        self.address = url
        """As given, with whatever secret it holds."""
        self.url = safe_url(url)
        self.broken: dict[str, str] = {}
        """Records that could not be read so far: run id to one sentence that says why."""
        try:
            # Other processes write here too, so a listing is never to be remembered.
            self._fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except Exception as error:  # whatever a driver raises as it connects
            raise ConfigError(
                f"The record store {self.url} cannot be opened: {_brief(error)}. "
                "Correct [records] store in opsnb.toml, or install the driver."
            ) from error
        self._root: str = root.rstrip("/")
        self._folder = Path(root) if isinstance(self._fs, LocalFileSystem) else None
        if self._folder and self._folder.exists() and not self._folder.is_dir():
            raise ConfigError(
                f"The record store {self.url} is not a folder. Correct [records] store in "
                "opsnb.toml, or OPSNB_RECORDS."
            )

    # -- writing

    def demand_writable(self) -> None:
        """Raise ConfigError when a record could not be kept here now. A folder is made."""
        if not self._folder:
            return  # only writing tells
        try:
            private_files.settle(self._folder)
            with tempfile.TemporaryFile(dir=self._folder):
                pass
        except OSError as error:
            raise ConfigError(
                f"The record store {self.url} cannot be written: {_brief(error)}. "
                + _what_to_do(error)
            ) from error

    def keep(self, result: RunResult, notebook: dict[str, Any], redactor: Redactor) -> str:
        """Store the record of a run, redacted, and return its location.

        `notebook` is stamped with the result, and the pieces of its streams are joined, first.
        What it shows without measure is left out, as `bounds` says.
        When another run has taken the same run id, `result.run_id` gets another suffix: a record
        is never overwritten and never lost.
        Raises RunBroke, with nothing half-made left behind, when the store cannot be written.
        """
        if not stored.RUN_ID.fullmatch(result.run_id):
            raise ValueError(f"'{result.run_id}' is no run id; make it with new_run_id")
        with self._telling("written"):
            while True:
                with suppress(_Taken):
                    self._put(result.run_id, _files(result, notebook, redactor))
                    return self.folder(result.run_id)
                head, _, _ = result.run_id.rpartition("-")
                other = f"{head}-{_suffix()}"
                result.fleet = other if result.is_summary else result.fleet
                result.run_id = other

    def _put(self, run_id: str, files: dict[str, bytes]) -> None:
        """Write a record's files. Raises _Taken when its id is."""
        if self._folder:
            _put_aside_and_rename(self._folder, Path(self._path(run_id)), files)
        else:
            self._put_result_last(self._path(run_id), files)

    def _put_result_last(self, folder: str, files: dict[str, bytes]) -> None:
        if self._fs.exists(folder):
            raise _Taken
        try:
            self._fs.makedirs(folder, exist_ok=True)
            for name in (NOTEBOOK, RESULT):
                self._fs.pipe_file(f"{folder}/{name}", files[name])
        except BaseException:
            with suppress(Exception):
                self._fs.rm(folder, recursive=True)
            raise

    def sweep(self, run_id: str) -> None:
        """Remove what a writer that was killed has left of the record of that run."""
        if self._folder:
            shutil.rmtree(self._folder / _WRITING / run_id, ignore_errors=True)
            for name in (NOTEBOOK, RESULT):
                for left in Path(self._path(run_id)).glob(f".{name}.*"):
                    left.unlink(missing_ok=True)
            return
        folder = self._path(run_id)
        with self._telling("written"):
            if self._fs.exists(folder) and not self._fs.exists(f"{folder}/{RESULT}"):
                self._fs.rm(folder, recursive=True)

    def update(self, result: RunResult, notebook: dict[str, Any], redactor: Redactor) -> None:
        """Store the record of a run that is still open anew, redacted, in place of what it was.

        A reader sees each of the two files as it was or as it is. Raises RunBroke, with the record
        as it was, when the store cannot be written.
        """
        with self._telling("written"):
            self._replace(result.run_id, _files(result, notebook, redactor))

    def _replace(self, run_id: str, files: dict[str, bytes]) -> None:
        folder = self._path(run_id)
        if self._folder:
            _replace(Path(folder), files)
        else:
            for name, data in files.items():
                self._fs.pipe_file(f"{folder}/{name}", data)

    def reindex(self) -> list[str]:
        """Make `result.json` again where it is missing or broken, from the notebook.

        Returns the run ids that were repaired; those that could not be are left in `broken`.
        """
        self.broken.clear()
        for _ in self.results():
            pass
        return [run_id for run_id in list(self.broken) if self._mend(run_id)]

    def _mend(self, run_id: str) -> bool:
        try:
            result = rebuild(self.notebook(run_id))
            self._demand_true(result, run_id)
            # What the notebook holds has passed redaction when it was written.
            with self._telling("written"):
                self._replace(run_id, {RESULT: _json(result.model_dump(mode="json"))})
        except OpsnbError as error:
            self.broken[run_id] = str(error)
            return False
        del self.broken[run_id]
        return True

    def _demand_true(self, result: RunResult, run_id: str) -> None:
        """Raise RunBroke when the notebook of a run says of itself what cannot be."""
        try:
            stored.demand_fits(result, run_id)
            wrong = stored.wrong_links(result)
        except stored.Damaged as error:
            wrong = str(error)
        if wrong:
            raise RunBroke(f"{NOTEBOOK} of {run_id} {wrong}. {_RESTORE}")

    # -- small files beside the records, such as locks

    def create_file(self, name: str, text: str) -> bool:
        """Make the file `name`, such as `.locks/x.json`; return False when there is one.

        Of several that try at the same time one succeeds, on every store. Raises RunBroke.
        """
        path = f"{self._root}/{name}"
        with self._telling("written"):
            if self._folder:
                private_files.folder_below(Path(path).parent)
                return _create(Path(path), text.encode())
        # A driver may look first and write then, which is not exclusive: the guard is.
        with self._guard(name):
            if self.read_file(name) is not None:
                return False
            with self._telling("written"):
                self._fs.pipe_file(path, text.encode())
        return True

    def read_file(self, name: str) -> str | None:
        """Return what the file `name` holds, or None when there is none. Raises RunBroke."""
        with self._telling("read"):
            try:
                data = stored.read(self._fs, f"{self._root}/{name}", stored.SMALL_LIMIT)
                return data.decode(errors="replace")
            except FileNotFoundError:
                return None
            except stored.Damaged as error:
                raise RunBroke(f"{name} in {self.url} {error}. Remove it.") from error

    def replace_file(self, name: str, text: str) -> None:
        """Write the file `name` again. Raises RunBroke."""
        path = f"{self._root}/{name}"
        with self._telling("written"):
            if self._folder:
                _replace(Path(path).parent, {Path(path).name: text.encode()})
            else:
                self._fs.pipe_file(path, text.encode())

    def exchange_file(self, name: str, is_it: Callable[[str], bool], text: str | None) -> bool:
        """Write `text` into the file `name`, or remove it for None, if `is_it` accepts its content.

        Return whether it did. Nobody else changes the file in between. Raises RunBroke.
        """
        with self._guard(name):
            held = self.read_file(name)
            if held is None or not is_it(held):
                return False
            if text is not None:
                self.replace_file(name, text)
            else:
                with self._telling("written"), suppress(FileNotFoundError):
                    self._fs.rm_file(f"{self._root}/{name}")
        return True

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        """Be the only one to change the file `name`, on every machine. Raises RunBroke."""
        path = f"{self._root}/{name}.guard"
        with self._telling("written"):
            if self._folder:
                mode = private_files.mode_in(private_files.folder_below(Path(path).parent))
                guard: AbstractContextManager[Any] = FileLock(path, timeout=_GUARD_S, mode=mode)
            else:
                guard = claimed(self._fs, path)
            with guard:
                yield

    # -- reading

    def results(
        self,
        *,
        runbook: str | None = None,
        target: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[RunResult]:
        """Yield the results of runs, newest first: of `runbook`, on `target`, begun at or after
        `since`, at most `limit` of them.

        Only the months and files that are needed are read. A record that cannot be read, or is not
        of the run that its folder is named after, is left out and noted in `broken`. One that
        names as another run what is none is noted there too. Raises RunBroke when the store itself
        cannot be read.
        """
        if limit is not None and limit <= 0:
            return
        found = 0
        for run_id in self.run_ids(since=since):
            if not _may_be(run_id, runbook, target):
                continue
            try:
                result = self._read_result(run_id)
            except (ValueError, OSError) as error:
                self.broken[run_id] = _why_broken(run_id, error)
                continue
            self._note_wrong_links(result)
            if runbook in (None, result.runbook) and target in (None, result.target):
                yield result
                found += 1
                if found == limit:
                    return

    def run_ids(self, *, since: datetime | None = None) -> Iterator[str]:
        """Yield the ids of the runs begun at or after `since` (default: of all), newest first."""
        first = since.astimezone(UTC).strftime(stored.STAMP) if since else ""
        for year in self._names("", re.compile(r"\d{4}")):
            for month in self._names(year, re.compile(r"\d{2}")):
                if f"{year}{month}" < first[:6]:
                    return
                for run_id in self._names(f"{year}/{month}", stored.RUN_ID):
                    if run_id[:6] != f"{year}{month}":
                        self._note_misplaced(run_id, f"{year}/{month}")
                    elif run_id[: len(first)] < first:
                        return
                    else:
                        yield run_id

    def result(self, run_id: str) -> RunResult:
        """Return the result of a run.

        `run_id` may be `latest`, or the beginning or the end of an id that fits no other. Raises
        UsageError when there is no such run, RunBroke when its record cannot be read.
        """
        found = self.find(run_id)
        try:
            result = self._read_result(found)
        except (ValueError, OSError) as error:
            raise RunBroke(_why_broken(found, error)) from error
        self._note_wrong_links(result)
        return result

    def notebook(self, run_id: str) -> dict[str, Any]:
        """Return the executed notebook of a run. `run_id` and errors as for `result`."""
        found = self.find(run_id)
        path = f"{self._path(found)}/{NOTEBOOK}"
        try:
            notebook = from_json(stored.read(self._fs, path, stored.NOTEBOOK_LIMIT))
            return stored.demand_notebook(notebook)
        except (ValueError, OSError) as error:
            raise RunBroke(f"{NOTEBOOK} of {found} {stored.why(error)}. {_RESTORE}") from error

    def folder(self, run_id: str) -> str:
        """Return where the record of a run is: a folder, or a URL. `run_id` as for `result`."""
        path = self._path(self.find(run_id))
        return path if self._folder else safe_url(str(self._fs.unstrip_protocol(path)))

    def has(self, run_id: str) -> bool:
        """Return whether there is a record of the run with that whole id."""
        return bool(self._fs.exists(self._path(run_id)))

    def find(self, run_id: str) -> str:
        """Return the whole id of a run. `run_id` and errors as for `result`."""
        if stored.RUN_ID.fullmatch(run_id) and self.has(run_id):
            return run_id
        if run_id == LATEST:
            matches = [newest for newest, _ in zip(self.run_ids(), range(1), strict=False)]
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
            raise UsageError(f"'{run_id}' means {len(matches)} runs: {some}. Type more of the id.")
        raise UsageError(self._unknown(run_id))

    def _unknown(self, run_id: str) -> str:
        recent = [known for known, _ in zip(self.run_ids(), range(_RECENT), strict=False)]
        if not recent:
            return f"There is no run '{run_id}': the record store {self.url} is empty."
        near = did_you_mean(run_id, recent)
        hint = near if "Did you mean" in near else " See them with: opsnb records list"
        return f"There is no run '{run_id}' in the record store {self.url}.{hint}"

    def _read_result(self, run_id: str) -> RunResult:
        data = stored.read(self._fs, f"{self._path(run_id)}/{RESULT}", stored.RESULT_LIMIT)
        return stored.result(data, run_id)

    def _note_wrong_links(self, result: RunResult) -> None:
        if wrong := stored.wrong_links(result):
            self.broken[result.run_id] = f"{RESULT} of {result.run_id} {wrong}. {_REINDEX}"

    def _note_misplaced(self, run_id: str, month: str) -> None:
        self.broken[run_id] = (
            f"{run_id} lies in {month}, where its run id does not belong. "
            f"Move it to {stored.months_of(run_id)}, or remove it."
        )

    def _path(self, run_id: str) -> str:
        return f"{self._root}/{run_id[:4]}/{run_id[4:6]}/{run_id}"

    def _names(self, folder: str, shape: re.Pattern[str]) -> list[str]:
        """Return the names in `folder` that have that shape, the last one first."""
        with self._telling("read"):
            try:
                paths = self._fs.ls(f"{self._root}/{folder}".rstrip("/") or "/", detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            except OSError as error:
                if not folder:
                    raise
                self.broken[folder] = f"The folder {folder} cannot be read: {_brief(error)}."
                return []
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted((name for name in names if shape.fullmatch(name)), reverse=True)

    @contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        """Turn what a file system or its driver raises into a RunBroke."""
        try:
            yield
        except (OpsnbError, ValidationError):
            raise
        except Exception as error:
            raise RunBroke(
                f"The record store {self.url} could not be {done}: {_brief(error)}. "
                + _what_to_do(error)
            ) from error


def _put_aside_and_rename(root: Path, final: Path, files: dict[str, bytes]) -> None:
    aside = root / _WRITING / final.name
    _sweep(aside.parent)
    private_files.settle(root)
    private_files.folder_below(aside.parent)
    try:
        private_files.new_folder(aside)
    except FileExistsError as error:
        raise _Taken from error
    try:
        for name, data in files.items():
            _write(aside / name, data)
        _sync_folder(aside)
        private_files.folder_below(final.parent)
        _rename(aside, final)
        _sync_folder(final.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _rename(aside: Path, final: Path) -> None:
    try:
        aside.rename(final)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise _Taken from error
        raise


def _create(path: Path, data: bytes) -> bool:
    """Make `path` with all that it holds at a stroke; return False when there is one."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(aside, data)
    try:
        os.link(aside, path)
    except FileExistsError:
        # NFS sends a request again when the answer is lost, and then finds the link that it made.
        return aside.stat().st_nlink == _LINKED
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_open(path, data)
    finally:
        aside.unlink()
    return True


def _create_open(path: Path, data: bytes) -> bool:
    """Make `path` where a file system knows no links: exclusive too, but seen half-written."""
    try:
        _write(path, data)
    except FileExistsError:
        return False
    return True


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    """Write `files` anew, so that a reader sees each as it was or as it is, never a part."""
    private_files.folder_below(folder)
    # In two containers two writers may have the same pid.
    asides = {name: folder / f".{name}.{secrets.token_hex(8)}" for name in files}
    try:
        for name, aside in asides.items():
            _write(aside, files[name])
        for name, aside in asides.items():
            aside.replace(folder / name)
        _sync_folder(folder)
    except BaseException:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
        raise


def _write(path: Path, data: bytes) -> None:
    mode = private_files.mode_in(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)  # a group's rights, whatever the umask
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(writing: Path) -> None:
    """Remove what writers that were killed have left aside."""
    with suppress(FileNotFoundError):
        for left in list(writing.iterdir()):
            if time.time() - left.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)


def _files(result: RunResult, notebook: dict[str, Any], redactor: Redactor) -> dict[str, bytes]:
    """Return the files of a record. The notebook, which is the whole truth, comes first."""
    stamp(notebook, result)
    notebook = joined_streams(notebook)
    fields = redactor.result(result).model_dump(mode="json")
    kept = redactor.tree(notebook)
    bound(kept)  # only now, so that no secret is cut in two
    for said in (fields, kept["metadata"][METADATA_KEY]):
        said["error"] = said["error"] and shortened(said["error"])
    return {NOTEBOOK: _json(kept), RESULT: _json(fields)}


def joined_streams(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return `notebook` with one output for each run of pieces of a stream, not too deep or large.

    So no secret is cut in two where it is looked for, and the search ends soon. The notebook itself
    stays as it is.
    """
    notebook = shallow(notebook)
    cells = [
        {**cell, "outputs": list(_joined(cell["outputs"]))} if cell.get("outputs") else cell
        for cell in notebook.get("cells", [])
    ]
    joined = {**notebook, "cells": cells}
    trim(joined)
    return joined


def _joined(outputs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for stream, pieces in groupby(outputs, _stream):
        if stream is None:
            yield from pieces
        else:
            first, *rest = pieces
            # A piece is a string or a list of lines; both join.
            text = "".join("".join(piece.get("text", "")) for piece in (first, *rest))
            yield {**first, "text": text}


def _stream(output: dict[str, Any]) -> str | None:
    """Return the name of the stream that `output` is a piece of, or None for other outputs."""
    return output.get("name", "stdout") if output.get("output_type") == "stream" else None


def _json(value: Any) -> bytes:
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # NaN and infinity, which no other reader of JSON knows, become null.
        return _json(json.loads(json.dumps(value), parse_constant=lambda _: None))
    # A lone surrogate (half a character, from a log that was cut) is no UTF-8; "?" takes its place.
    return (text + "\n").encode(errors="replace")


def _may_be(run_id: str, runbook: str | None, target: str | None) -> bool:
    """Tell from a run's id alone whether its record is worth reading."""
    _, _, rest = run_id.partition("-")
    name, _, _ = rest.rpartition("-")
    return (runbook is None or name.startswith(f"{stored.id_part(runbook)}-")) and (
        target is None or name.endswith(f"-{stored.id_part(target)}")
    )


def _why_broken(run_id: str, error: Exception) -> str:
    return f"{RESULT} of {run_id} {stored.why(error)}. {_REINDEX}"


def _brief(error: Exception) -> str:
    """Return the reason of `error` without path or class, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(safe_url(str(text)).split()).rstrip(".")


def _what_to_do(error: Exception) -> str:
    """Return what to do about a store that failed with `error`."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "Free space there, or set OPSNB_RECORDS to another folder."
    if code in (errno.EACCES, errno.EPERM, errno.EROFS) or isinstance(error, PermissionError):
        return "Make it writable for this user, or set OPSNB_RECORDS to another folder."
    return "Fix that, or set OPSNB_RECORDS to another folder."
