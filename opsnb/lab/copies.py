"""Working copies of the runbooks: stepping through one never changes the original."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from papermill.iorw import load_notebook_node, write_ipynb
from papermill.parameterize import parameterize_notebook

from opsnb import catalog, private_files
from opsnb.catalog import RunbookInfo
from opsnb.errors import RunBroke
from opsnb.lab import launcher
from opsnb.model import now
from opsnb.target import state_folder, state_home


def working_copy() -> Path:
    """Copy the runbooks, with a page to choose from, into a folder of their own and return it.

    Raises RunBroke when it cannot be written.
    """
    folder = state_home() / "lab" / f"{now():%Y%m%dT%H%M%SZ}-{os.getpid()}"
    try:
        state_folder("lab")  # nobody else may enter it, so nothing in it can be read meanwhile
        shutil.copytree(catalog.share("notebooks"), folder)
        page = launcher.page(catalog.runbooks())
        (folder / launcher.PAGE).write_text(page, encoding="utf-8")
        private_files.close_tree(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unwritable(folder, error) from error
    return folder


def fill_in(folder: Path, runbook: RunbookInfo, parameters: Mapping[str, Any]) -> str:
    """Put checked `parameters` into the copy of `runbook` in `folder`, as a headless run does.

    Returns the copy's path in that folder. Raises RunBroke when it cannot be written.
    """
    name = f"{runbook.id}.ipynb"
    notebook = load_notebook_node(str(folder / name))
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        write_ipynb(parameterize_notebook(notebook, dict(parameters)), str(folder / name))
    except OSError as error:
        raise _unwritable(folder, error) from error
    return name


def _unwritable(folder: Path, error: OSError) -> RunBroke:
    return RunBroke(
        f"The runbooks cannot be copied to {folder}: {error.strerror or error}. "
        "Make room, or set XDG_STATE_HOME to a folder that can be written."
    )
