"""Careful reading of a store: anyone who shares it may have written its files.

Only regular files are opened, reads have limits, and a record must fit the folder that it is in.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError
from pydantic_core import from_json

from opsnb.model import RunResult

NOTEBOOK, RESULT = "record.ipynb", "result.json"
_REINDEX = "Rebuild it with: opsnb records reindex"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_.-]+-[0-9a-f]{4,}")
STAMP = "%Y%m%dT%H%M%SZ"
RESULT_LIMIT = 32_000_000  # bytes
NOTEBOOK_LIMIT = 128_000_000
SMALL_LIMIT = 1_000_000
_PIECE = 1 << 20  # bytes read at once
_RUNBOOK = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_LARGEST = 1e300  # no float holds a larger number
# A number that may be larger: the search is far quicker than a look at each one.
_MAY_BE_HUGE = re.compile(rb"[0-9]{200}|[\s:,\[]-?[0-9][0-9.]*[eE]\+?[0-9]{3}")
_OFF_BY = timedelta(days=1)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


class Damaged(ValueError):
    """A stored file is not what it should be; the message is a clause that says why."""


def id_part(name: str) -> str:
    """Return `name` as in a run id: `/` becomes a dot, and nothing needs quoting."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name.replace("/", ".")) or "_"


def read(files: Any, path: str, limit: int) -> bytes:
    """Return the content of the file at `path` of the fsspec file system `files`.

    Raises Damaged when it is not a regular file or has more than `limit` bytes, OSError when it
    cannot be read.
    """
    if isinstance(files, LocalFileSystem):
        return _read_local(Path(path), limit)
    size = files.info(path).get("size")
    if isinstance(size, int) and size > limit:
        raise _too_large(size, limit)
    return bytes(files.cat_file(path))


def digest(files: Any, path: str, limit: int) -> str:
    """Return the sha256 of the file at `path`, as hex, without holding it. Raises as `read`."""
    found, size = hashlib.sha256(), 0
    with _opened(files, path, limit) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            if size > limit:
                raise _too_large(size, limit)
            found.update(piece)
    return found.hexdigest()


def _opened(files: Any, path: str, limit: int) -> Any:
    if isinstance(files, LocalFileSystem):
        return _opened_local(Path(path), limit)
    size = files.info(path).get("size")
    if isinstance(size, int) and size > limit:
        raise _too_large(size, limit)
    return files.open(path, "rb")


def _read_local(path: Path, limit: int) -> bytes:
    with _opened_local(path, limit) as file:
        data = file.read(limit + 1)
    if len(data) > limit:  # it grows, or reports a size of 0
        raise _too_large(len(data), limit)
    return data


def _opened_local(path: Path, limit: int) -> BinaryIO:
    _demand_regular(path.lstat())
    # It may have been replaced by now: opening it must not block either.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    try:
        state = os.fstat(handle)
        _demand_regular(state)
        if state.st_size > limit:
            raise _too_large(state.st_size, limit)
    except BaseException:
        file.close()
        raise
    return file


def _demand_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "something else")
        raise Damaged(f"is {kind}, not a file")


def _too_large(size: int, limit: int) -> Damaged:
    return Damaged(f"is too large: {size / 1e6:,.0f} MB, at most {limit / 1e6:,.0f} MB are read")


def result(data: bytes, run_id: str) -> RunResult:
    """Return the result in `data`, the result.json of the folder `run_id`.

    Raises ValueError when it is damaged or belongs to another run.
    """
    fields = from_json(data, allow_inf_nan=False)
    if not isinstance(fields, dict):
        raise Damaged("is damaged: it is not an object")
    if _MAY_BE_HUGE.search(data) and not _is_finite(fields):
        raise Damaged("is damaged: a number in it is too large")
    result = RunResult.model_validate(fields)
    demand_fits(result, run_id)
    return result


def demand_fits(result: RunResult, run_id: str) -> None:
    """Raise Damaged when `result` does not fit the run id `run_id`."""
    if result.run_id != run_id:
        raise Damaged(f"is damaged at run_id: it says {_short(result.run_id)}")
    for name, when in (("started", result.started), ("finished", result.finished)):
        if when.tzinfo is None:
            raise Damaged(f"is damaged at {name}: it has no time zone")
    if not _RUNBOOK.fullmatch(result.runbook):
        raise Damaged(f"is damaged at runbook: {_short(result.runbook)} is not a runbook id")
    stamp, _, rest = run_id.partition("-")
    name, _, _ = rest.rpartition("-")
    if name != f"{id_part(result.runbook)}-{id_part(result.target)}":
        raise Damaged(
            f"is damaged: its runbook and target, {_short(result.runbook)} on "
            f"{_short(result.target)}, do not match its run id"
        )
    if abs(result.started - _moment(stamp)) > _OFF_BY:
        raise Damaged(f"is damaged at started: {result.started:%F} is not the day of its run id")


def wrong_links(result: RunResult) -> str:
    """Return, as a clause, which link to another run is not a run id; empty when all are.

    The rest of the record may still be right.
    """
    named = [("parent", result.parent), ("fleet", result.fleet)]
    named += [("actions", action.continues) for action in result.actions]
    for place, link in named:
        if link is not None and not RUN_ID.fullmatch(link):
            return f"is damaged at {place}: {_short(link)} is not a run id"
    return ""


def month_of(run_id: str) -> str:
    """Return the folder, `YYYY/MM`, that the record of a run belongs in."""
    return f"{run_id[:4]}/{run_id[4:6]}"


def why(error: Exception) -> str:
    """Return, as a clause, why a file of a record could not be used."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, Damaged):
        return str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"is damaged{f' at {place}' if place else ''}: {first['msg']}"
    if isinstance(error, ValueError):
        return f"is damaged: it is not JSON ({error})"
    return f"cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}"


def broken(run_id: str, error: Exception) -> str:
    """Return, as a sentence, why the result of a run could not be used, and what to do."""
    return f"{RESULT} of {run_id} {why(error)}. {_REINDEX}"


def damaged_link(run_id: str, clause: str) -> str:
    """Return the sentence about a link that `wrong_links` has found."""
    return f"{RESULT} of {run_id} {clause}. {_REINDEX}"


def may_be(run_id: str, runbooks: Collection[str], target: str | None) -> bool:
    """Return whether a record may match by its run id alone, so that it is worth reading.

    An empty `runbooks` and a `target` of None match all.
    """
    _, _, rest = run_id.partition("-")
    name, _, _ = rest.rpartition("-")
    return (target is None or name.endswith(f"-{id_part(target)}")) and (
        not runbooks or any(name.startswith(f"{id_part(each)}-") for each in runbooks)
    )


def demand_notebook(notebook: Any) -> dict[str, Any]:
    """Return `notebook` if it has the structure of one. Raises Damaged."""
    if not isinstance(notebook, dict) or not isinstance(notebook.get("metadata", {}), dict):
        raise Damaged("is not a notebook")
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise Damaged("is not a notebook: it has no cells")
    for number, cell in enumerate(cells, 1):
        if not _is_cell(cell):
            raise Damaged(f"is damaged at cell {number}")
    return notebook


def _is_cell(cell: Any) -> bool:
    return (
        isinstance(cell, dict)
        and isinstance(cell.get("cell_type"), str)
        and isinstance(cell.get("metadata", {}), dict)
        and _is_text(cell.get("source", ""))
        and isinstance(outputs := cell.get("outputs", []), list)
        and all(map(_is_output, outputs))
    )


def _is_output(output: Any) -> bool:
    return (
        isinstance(output, dict)
        and isinstance(output.get("output_type", ""), str)
        and isinstance(output.get("data", {}), dict)
        and isinstance(output.get("metadata", {}), dict)
        and _is_text(output.get("text", ""))
    )


def _is_text(value: Any) -> bool:
    lines = value if isinstance(value, list) else [value]
    return all(isinstance(line, str) for line in lines)


def _is_finite(tree: Any) -> bool:
    """Return whether no number in `tree` is too large."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float | int):
            if not -_LARGEST < value < _LARGEST:
                return False
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return True


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError as error:
        raise Damaged(f"is damaged: {stamp} in its run id is not a time") from error


def _short(text: str) -> str:
    shown = text if len(text) <= 60 else f"{text[:60]}..."
    return repr(shown)
