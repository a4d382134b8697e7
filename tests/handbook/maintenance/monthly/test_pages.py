"""Which runbooks are due for a review."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb import catalog
from opsnb.config.target import Target
from opsnb.handbook.maintenance.monthly import pages
from opsnb.model import Status, now
from tests.headless import notebook

TARGET = Target(name="demo")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runbook repository of the test's own."""
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(catalog, "share", lambda _: tmp_path)
    return tmp_path / "own"


def reviewed(path: Path, days_ago: int) -> None:
    day = f"{now() - timedelta(days=days_ago):%Y-%m-%d}"
    write(path, reviewed=day)


def write(path: Path, **about: Any) -> None:
    notebook.write(path, "pass", **({"opsnb": about} if about else {}))


def test_those_are_due_whose_review_is_too_long_ago(folder: Path) -> None:
    for days in (0, 31, 32, 90):
        reviewed(folder / f"ago_{days}.ipynb", days)
    found = pages.due(TARGET)
    assert (found.status, found.value) == (Status.WARN, 2)
    assert [(row["runbook"], row["days_ago"]) for row in found.rows] == [
        ("own/ago_90", 90), ("own/ago_32", 32),
    ]  # fmt: skip
    assert f'"reviewed": "{now():%Y-%m-%d}"' in found.message
    assert pages.due(TARGET, 90).status is Status.OK


@pytest.mark.parametrize("about", [{}, {"timeout_s": 5}, {"reviewed": "soon"}, {"reviewed": 7}])
def test_one_without_a_date_was_never_reviewed(folder: Path, about: dict[str, Any]) -> None:
    write(folder / "new.ipynb", **about)
    reviewed(folder / "old.ipynb", 50)
    never, old = pages.due(TARGET).rows
    assert (never["runbook"], never["reviewed"]) == ("own/new", "never")
    assert old["runbook"] == "own/old"


def test_a_broken_one_is_due_as_well(folder: Path) -> None:
    (folder / "broken.ipynb").write_text("{")
    (row,) = pages.due(TARGET).rows
    assert (row["title"], row["reviewed"]) == ("own/broken", "never")
