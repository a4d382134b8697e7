"""Working copies of the runbooks; the originals never change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from opsnb import catalog
from opsnb.catalog import RunbookInfo
from opsnb.config.places import state_folder, state_home
from opsnb.errors import ConfigError
from opsnb.lab import cells, launcher, links
from opsnb.lab.cells import Notebook
from opsnb.machine import private_files
from opsnb.machine.holder import Holder
from opsnb.model import now

KEPT_DAYS = 14
"""How long a recorded working copy is kept after its last change."""
_RECORDED = ".recorded.json"
_HOLDER = ".holder.json"
_OWN = (_RECORDED, _HOLDER, launcher.PAGE, ".workspaces", ".ipynb_checkpoints")


def working_folder() -> Path:
    """Create the folder of this JupyterLab with its start page, and return it.

    Old folders that are no longer needed are removed. Raises ConfigError when it cannot be written.
    """
    folder = _home() / f"{now():%Y%m%dT%H%M%SZ}-{os.getpid()}"
    try:
        state_folder("lab")  # private, so everything in it is
        private_files.folder(folder)
        # This process becomes JupyterLab, so it is the holder.
        private_files.write(folder / _HOLDER, Holder.of(os.getpid()).model_dump_json())
        private_files.write(folder / launcher.PAGE, launcher.page(catalog.runbooks()))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unwritable(folder, error) from error
    prune()
    return folder


def fresh(
    folder: Path, info: RunbookInfo, values: Mapping[str, Any], *, armed: bool = False
) -> str:
    """Create a copy of a runbook with checked `values` filled in; return its path in `folder`.

    Its cells only plan, unless it is `armed`: then they may act until it is opened a second time.
    Raises ConfigError when it cannot be written.
    """
    notebook: Notebook = json.loads(info.path.read_text(encoding="utf-8"))
    cells.clear(notebook)
    cells.fill_in(notebook, values)
    if not armed:
        cells.disarm(notebook)
    links.carry_parameters(notebook, info)
    about = notebook["metadata"].setdefault("opsnb", {})
    about["runbook"] = info.id
    if armed:
        about["armed"] = True
    try:
        return _write_new(folder, info.id, _text(notebook))
    except OSError as error:
        raise _unwritable(folder, error) from error


def runbook_of(notebook: Notebook) -> RunbookInfo | None:
    """Return the runbook that a notebook is a copy of; None if it is not a copy."""
    about = notebook.get("metadata", {}).get("opsnb", {})
    name = about.get("runbook", "") if isinstance(about, dict) else ""
    return next((info for info in catalog.runbooks() if info.id == name), None)


def opened(path: Path, *, goes_on: bool) -> bool:
    """Disarm a copy that is opened again; return whether its file was changed.

    Unless its run `goes_on`, its outputs are removed: they are in the record of that run, and a new
    run gets its own record. Raises OSError, ValueError on a broken notebook.
    """
    content = path.read_text(encoding="utf-8")
    notebook: Notebook = json.loads(content)
    about = notebook.get("metadata", {}).get("opsnb", {})
    if not isinstance(about, dict) or not about.get("runbook"):
        return False
    if not about.pop("armed", False):
        cells.disarm(notebook)
    if not goes_on:
        cells.clear(notebook)
    is_changed = bool(notebook != json.loads(content))
    if is_changed:
        private_files.write(path, _text(notebook))
    return is_changed


def disarm(path: Path) -> None:
    """Disarm a duplicate of a copy. Raises OSError, ValueError on a broken notebook."""
    notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
    if runbook_of(notebook):
        notebook["metadata"]["opsnb"].pop("armed", None)
        cells.disarm(notebook)
        private_files.write(path, _text(notebook))


def note_recorded(folder: Path, notebook: Notebook, run_id: str) -> None:
    """Note that the content of `notebook`, a copy in `folder`, has the record `run_id`."""
    with suppress(OSError, ValueError):  # without this note, the copy is kept
        known = _recorded(folder)
        known[_fingerprint(notebook)] = run_id
        private_files.write(folder / _RECORDED, json.dumps(known))


def prune(days: float = KEPT_DAYS) -> None:
    """Remove the copies unchanged for `days`, except those that are open or not recorded."""
    for folder in _old(days):
        with suppress(OSError):
            _prune(folder)


def _old(days: float) -> Iterator[Path]:
    before = (now() - timedelta(days=days)).timestamp()
    with suppress(OSError):
        for folder in _home().iterdir():
            if not folder.is_symlink() and folder.is_dir() and not _is_open(folder):
                files = [path.lstat().st_mtime for path in folder.rglob("*") if path.is_file()]
                if max(files, default=folder.stat().st_mtime) < before:
                    yield folder


def _is_open(folder: Path) -> bool:
    try:
        return Holder.model_validate_json((folder / _HOLDER).read_text()).is_alive
    except (OSError, ValueError):  # of an older opsnb: its name ends with the pid
        pid = folder.name.rpartition("-")[2]
        return pid.isdigit() and Path("/proc", pid).exists()


def _prune(folder: Path) -> None:
    """Remove the recorded copies, and the folder if nothing else is in it."""
    known = _recorded(folder)
    unwritten = {path.name for name in ("running", "spool") for path in _below(state_home() / name)}
    kept = False
    for path in folder.rglob("*"):
        is_own = bool({*path.relative_to(folder).parts} & {*_OWN})
        if path.is_dir() or is_own:
            continue
        if _is_needless(path, known, unwritten):
            path.unlink()
        else:
            kept = True
    if not kept:
        shutil.rmtree(folder)


def _is_needless(path: Path, known: Mapping[str, str], unwritten: set[str]) -> bool:
    """Whether a file is a copy that was never run, or is completely recorded."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if not runbook_of(notebook):
            return False
        run_id = known.get(_fingerprint(notebook))
        is_recorded = run_id is not None and run_id not in unwritten
        return is_recorded or not any(cell.get("outputs") for cell in notebook["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _recorded(folder: Path) -> dict[str, str]:
    """Return run ids by the fingerprints of their records' content."""
    try:
        known = json.loads((folder / _RECORDED).read_text())
    except FileNotFoundError:
        return {}
    return {str(print_): str(run_id) for print_, run_id in known.items()}


def _fingerprint(notebook: Notebook) -> str:
    """Return a fingerprint of the content of a copy, armed or not."""
    plain: Notebook = json.loads(json.dumps({"cells": notebook["cells"]}))
    cells.disarm(plain)
    content = [["".join(cell["source"]), cell.get("outputs")] for cell in plain["cells"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _below(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from folder.iterdir()


def _home() -> Path:
    return state_home() / "lab"


def _write_new(folder: Path, name: str, text: str) -> str:
    """Write a new file for each copy of a runbook; return its path in `folder`."""
    for number in count(1):
        path = f"{name}.ipynb" if number == 1 else f"{name}-{number}.ipynb"
        (folder / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            file = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(file, "w", encoding="utf-8") as written:
            written.write(text)
        return path
    raise AssertionError  # counting never ends


def _text(notebook: Notebook) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The runbooks cannot be copied to {folder}: {error.strerror or error}. "
        "Free space there, or set XDG_STATE_HOME to a writable folder."
    )
