"""What `opsnb init` and `opsnb new` write: a repository, and a runbook in it."""

from __future__ import annotations

import keyword
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from opsnb import catalog
from opsnb.authoring.notebooks import filled, notebook
from opsnb.config.sources import sources
from opsnb.errors import UsageError
from opsnb.model import now

_NAME = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")
_NOTEBOOKS = "runbooks"
# Each file of a repository, and the template that it is written from.
_FILES = {
    "opsnb.toml": "opsnb.toml",
    "{package}/__init__.py": "init.py",
    "{package}/notices.py": "module.py",
    "{package}/faults.py": "faults.py",
    f"{_NOTEBOOKS}/notices/remove.ipynb": "remove.md",
    "tests/test_notices.py": "test_notices.py",
    "tests/test_faults.py": "test_faults.py",
    "pytest.ini": "pytest.ini",
    "Makefile": "Makefile",
    ".github/workflows/ci.yml": "ci.yml",
    ".gitignore": "gitignore",
    "README.md": "README.md",
}


def repository(folder: Path) -> list[Path]:
    """Write a repository for runbooks of one's own into `folder`; return its files.

    Raises UsageError when `folder` is not empty, or cannot be written.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - its name, also where it is a link
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder; name one that is empty or new.")
    values = {"name": folder.name, "package": _package(folder.name)}
    paths = []
    for name, template in _FILES.items():
        text = filled(f"repository/{template}.j2", **values)
        path = folder / name.format(**values)
        _write(path, notebook(text, now().date()) if path.suffix == ".ipynb" else text)
        paths.append(path)
    return paths


def runbook(name: str, *, acts: bool) -> Path:
    """Write the runbook `name`, such as `orders/stuck`, and return its file.

    It stands in the first folder of `[runbooks] paths`. Raises UsageError for a name that cannot
    be one, or that is taken, and when there is no such folder.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name[:60]}' cannot be a runbook's name; write SECTION/NAME with small letters, "
            "digits and _, such as orders/stuck."
        )
    found = sources()
    if not found.paths:
        raise UsageError(
            "There is no folder for runbooks of your own: set paths in [runbooks] of opsnb.toml, "
            "or begin a repository with: opsnb init DIR"
        )
    path = found.paths[0] / f"{name}.ipynb"
    taken = next((info.path for info in catalog.runbooks() if info.id == name), None)
    if path.exists():
        raise UsageError(f"{path} exists already; choose another name.")
    if taken:
        raise UsageError(
            f"There is a runbook {name} already; choose another name, or, to replace it by one of "
            f"your own, copy {taken} to {path}."
        )
    title = name.partition("/")[2].replace("_", " ").capitalize()
    _write(path, notebook(filled("runbook.md.j2", title=title, acts=acts), now().date()))
    return path


def _package(name: str) -> str:
    """Return a name for the Python package of the repository `name` that nothing else has."""
    package = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_")
    is_free = (
        package.isidentifier()
        and not keyword.iskeyword(package)
        and package not in {*sys.stdlib_module_names, _NOTEBOOKS, "tests"}
        and find_spec(package) is None
    )
    return package if is_free else f"own_{package}".rstrip("_")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}. Choose another folder, or make room."
        ) from error
