"""The runbooks themselves: their shape, and that they run wherever a notebook runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.authoring import checking
from opsnb.authoring.rules import RULES, remedies
from opsnb.config.target import Target
from opsnb.records.extract import findings

BIN = Path(sys.executable).parent
RUNBOOKS = catalog.runbooks()
KNOWN = {info.id: info for info in RUNBOOKS}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("info", RUNBOOKS, ids=lambda info: info.id)
def test_every_runbook_keeps_the_rules(info: catalog.RunbookInfo, rule: str) -> None:
    assert [str(problem) for problem in RULES[rule](info, KNOWN)] == []


def test_every_remedy_in_the_package_names_a_runbook_and_its_parameters() -> None:
    modules = checking.modules()
    assert len(modules) > 300
    assert [str(each) for module in modules for each in remedies(module, KNOWN)] == []


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
