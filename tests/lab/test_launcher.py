"""The page that leads to the runbooks."""

from __future__ import annotations

from pathlib import Path

from nbformat.v4 import new_markdown_cell, new_notebook, writes

from opsnb import catalog
from opsnb.catalog import RunbookInfo
from opsnb.lab.launcher import page


def runbook(folder: Path, name: str, text: str) -> RunbookInfo:
    path = folder / f"{name}.ipynb"
    path.write_text(writes(new_notebook(cells=[new_markdown_cell(text)])))
    return RunbookInfo(f"queues/{name}", path)


def test_every_runbook_is_there_by_section_and_by_its_use() -> None:
    before, by_section = page(catalog.runbooks()).split("## All runbooks")
    for info in catalog.runbooks():
        assert f"[{info.title}]({info.id}.ipynb)" in by_section
        assert f"({info.id}.ipynb)" in before


def test_what_one_sees_is_told_from_what_one_is_about_to_do(tmp_path: Path) -> None:
    seen = runbook(
        tmp_path, "grows", "# Grows\n\n## When to use\n\nA queue grows | fast: [x](y).\n"
    )
    about = runbook(tmp_path, "move", "# Move\n\n## When to use\n\nBefore a\nmove. Not else.\n")
    lines = page([seen, about]).splitlines()
    symptoms = lines.index("## What you see")
    occasions = lines.index("## What you want to do")
    assert symptoms < lines.index(r"| A queue grows \| fast | [Grows](queues/grows.ipynb) |")
    assert occasions < lines.index("| Before a move | [Move](queues/move.ipynb) |")


def test_a_broken_runbook_hides_no_other(tmp_path: Path) -> None:
    broken = RunbookInfo("queues/broken", tmp_path / "broken.ipynb")
    broken.path.write_text("{")
    other = runbook(tmp_path, "silent", "# Silent\n")
    assert page([broken, other]).splitlines()[-1] == (
        "| Queues | [queues/broken](queues/broken.ipynb) (cannot be read),"
        " [Silent](queues/silent.ipynb) |"
    )
