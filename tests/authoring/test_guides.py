"""Each guide in docs/extend, followed to the letter, and what has come of it at the end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.config.target import Target
from tests.authoring.walk import Reader, files_of, practise

PAGES = ("check", "action", "runbook", "fault")


_PLACES = re.compile(r"^\| an? \[[\w ]+\]\((?P<page>\w+)\.md\) \| (?P<places>\d+) \|", re.MULTILINE)


@pytest.mark.parametrize(("page", "cells"), [("check", 1), ("action", 1), ("fault", 0)])
def test_a_guide_touches_no_more_places_than_the_overview_says(page: str, cells: int) -> None:
    folder = catalog.share("docs") / "extend"
    said = dict(_PLACES.findall((folder / "index.md").read_text()))
    files = {name for name in files_of(folder / f"{page}.md") if not name.startswith("tests/")}
    assert len(files) + cells == int(said[page]), files


def test_the_guides_lead_from_a_check_to_a_drill(demo: Target, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for page in PAGES:
        reader.follow(catalog.share("docs") / "extend" / f"{page}.md")
    said = "\n".join(reader.said)
    assert "0 of 3,000 scenes have no script." in said
    assert "300 of 3,000 scenes have no script." in said
    assert "1 runbook checked" not in said  # that of init, and that of the guide
    assert "2 runbooks checked, nothing to correct." in said
    assert "scenes/empty" in said
    runs = [json.loads(path.read_text()) for path in tmp_path.rglob("records/**/result.json")]
    applied = [run["actions"][0]["applied"] for run in runs if run["runbook"] == "scenes/empty"]
    assert sorted(applied) == [0, 0, 300]
    practise(
        reader.folder,
        "lost-scripts",
        lambda: reader.type("opsnb run scenes/empty -t demo --apply"),
    )
