"""The runbooks themselves: their shape, and that they run wherever a notebook runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.config.target import Target
from opsnb.model import now
from opsnb.records.extract import findings

BIN = Path(sys.executable).parent
RUNBOOKS = catalog.runbooks()
HEADINGS = ["When to use", "Impact", "Check", "Act", "Verify", "If that did not help"]


@pytest.mark.parametrize("info", RUNBOOKS, ids=lambda info: info.id)
def test_a_tired_person_finds_the_parts_in_the_same_order(info: catalog.RunbookInfo) -> None:
    text = "\n".join(cell["source"] for cell in info.cells if cell["cell_type"] == "markdown")
    found = re.findall(rf"^## ({'|'.join(HEADINGS)})\b", text, re.MULTILINE)
    expected = [name for name in HEADINGS if name != "Act" or info.acts]
    assert found == expected
    assert info.title != info.id


@pytest.mark.parametrize("info", RUNBOOKS, ids=lambda info: info.id)
def test_every_parameter_says_what_it_is_for_and_its_default_is_usable(
    info: catalog.RunbookInfo,
) -> None:
    assert info.parameters[0].name == "target"
    for parameter in info.parameters:
        assert parameter.description, parameter.name
        if not parameter.required:
            assert parameter.parse(parameter.default) == parameter.default


@pytest.mark.parametrize("info", RUNBOOKS, ids=lambda info: info.id)
def test_links_to_other_runbooks_lead_somewhere(info: catalog.RunbookInfo) -> None:
    for cell in info.cells:
        for link in re.findall(r"\]\(([^)#]+)", cell["source"]):
            if "://" not in link:
                assert (info.path.parent / link).is_file(), link


@pytest.mark.parametrize("info", RUNBOOKS, ids=lambda info: info.id)
def test_every_runbook_says_when_it_was_reviewed(info: catalog.RunbookInfo) -> None:
    assert info.reviewed is not None
    assert info.reviewed <= now().date()


# That every runbook runs is proven where they are applied; here only that it is one like any other.
@pytest.mark.parametrize(
    "runbook", ["health/daily", "queues/retry_failed", "troubleshooting/failed_jobs"]
)
def test_nbval_runs_a_runbook_from_top_to_bottom(
    demo: Target, runbook: str, tmp_path: Path
) -> None:
    # The demo has several queues, so that a default cannot name one of them.
    source = catalog.runbook(runbook).path.read_text()
    path = tmp_path / "copy.ipynb"
    path.write_text(source.replace('queue: QueueName = \\"\\"', 'queue: QueueName = \\"exports\\"'))
    done = subprocess.run(
        [BIN / "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)


def test_stock_papermill_gives_the_same_findings(demo: Target, tmp_path: Path) -> None:
    notebook = catalog.share("notebooks") / "health" / "daily.ipynb"
    done = subprocess.run(
        [BIN / "papermill", notebook, tmp_path / "out.ipynb", "-p", "target", "demo"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stock = findings(json.loads((tmp_path / "out.ipynb").read_text()))
    ours = json.loads(
        subprocess.run(
            [BIN / "opsnb", "run", "health/daily", "--json"], capture_output=True, check=True
        ).stdout
    )
    told = [(finding["name"], finding["status"]) for finding in ours["findings"]]
    assert [(finding.name, finding.status) for finding in stock] == told


def test_an_unknown_target_is_told_in_one_line_in_the_notebook(tmp_path: Path) -> None:
    notebook = catalog.share("notebooks") / "health" / "daily.ipynb"
    done = subprocess.run(
        [BIN / "papermill", notebook, tmp_path / "out.ipynb", "-p", "target", "prd"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    (error,) = (
        output
        for cell in cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "error"
    )
    assert len(error["traceback"]) == 1
    assert "There is no target 'prd'" in error["traceback"][0]
