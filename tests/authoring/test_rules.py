"""What `opsnb check` finds in a notebook, in the modules beside it and in `opsnb.toml`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsnb import catalog
from opsnb.authoring import checking
from opsnb.authoring.notebooks import filled, notebook
from opsnb.authoring.rules import RULES, remedies, schedules
from opsnb.config.file import load_config
from opsnb.model import now

KNOWN = {info.id: info for info in catalog.runbooks()}
Change = Callable[[dict[str, Any]], None]


def problems(folder: Path, change: Change = lambda _: None, *, acts: bool = True) -> list[str]:
    """What is wrong with the notebook that `opsnb new` writes, after a `change`."""
    text = notebook(filled("runbook.md.j2", title="Stuck", acts=acts), now().date())
    document = json.loads(text)
    change(document)
    path = folder / "orders" / "stuck.ipynb"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    return [str(each) for each in checking.broken_rules(catalog.at(path), KNOWN)]


def replaced(cell: int, before: str, after: str) -> Change:
    """Return what replaces a text in a cell, by its number from 1."""

    def change(document: dict[str, Any]) -> None:
        source = "".join(document["cells"][cell - 1]["source"])
        assert before in source
        document["cells"][cell - 1]["source"] = source.replace(before, after)

    return change


def untagged(document: dict[str, Any]) -> None:
    document["cells"][1]["metadata"] = {}


def tagged_twice(document: dict[str, Any]) -> None:
    document["cells"][3]["metadata"] = {"tags": ["parameters"]}


def executed(document: dict[str, Any]) -> None:
    document["cells"][3]["execution_count"] = 1


def unreviewed(document: dict[str, Any]) -> None:
    document["metadata"]["opsnb"] = {}


@pytest.mark.parametrize("acts", [True, False], ids=["acts", "checks"])
def test_what_new_writes_keeps_every_rule(tmp_path: Path, acts: bool) -> None:
    assert problems(tmp_path, acts=acts) == []


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (untagged, "no cell is tagged `parameters`"),
        (tagged_twice, "2 cells are tagged `parameters`"),
        (replaced(2, 'TargetName = ""', "TargetName = 7"), "cell 2: The parameters cell cannot"),
        (replaced(2, "target: Target", "system: Target"), "cell 2: the first parameter must be"),
        (replaced(2, "  # a target in", "\n# a"), "cell 2: say what `target` is for"),
        (replaced(2, "Apply = False", "Apply = True"), "cell 2: `apply` must be False"),
        (replaced(2, 'Confirm = ""', 'Confirm = "prod"'), "cell 2: `confirm` must be empty"),
        (replaced(1, "# Stuck\n", ""), "cell 1: "),
        (replaced(1, "## Impact", "## Inpact"), "the heading `## Impact` is missing"),
        (replaced(3, "## Check", "## Verify"), "the heading `## Check` is missing"),
        (replaced(10, "## If", "## Impact\n\n## If"), "cell 10: `## Impact` must stand before"),
        (replaced(3, "## Check", "## Check\n\n## Check"), "cell 3: `## Check` stands there twice"),
        (unreviewed, "when it was last reviewed"),
        (replaced(10, "health/daily.ipynb", "health/dayly.ipynb"), "cell 10: there is no runbook"),
        (replaced(10, "daily.ipynb", "daily.ipynb#apply=1"), "cell 10: a link cannot set `apply`"),
        (replaced(10, "daily.ipynb", "daily.ipynb#hour=1"), "has no parameter 'hour'"),
        (replaced(10, "run health/daily", "run health/dayly"), "'health/dayly'. Did you mean"),
        (replaced(10, "-t TARGET", "-t TARGET -p nope=1"), "has no parameter 'nope'"),
        (replaced(10, "../health/daily.ipynb", "gone.md"), "cell 10: the link to gone.md leads"),
        (executed, "cell 4: it has outputs"),
    ],
)
def test_each_problem_names_its_cell(tmp_path: Path, change: Change, reported: str) -> None:
    found = problems(tmp_path, change)
    assert any(reported in line for line in found), found
    assert all("\n" not in line for line in found)


def test_a_file_that_is_no_notebook_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    path = tmp_path / "orders/stuck.ipynb"
    path.write_text("{}")
    (problem,) = checking.broken_rules(catalog.at(path), KNOWN)
    assert "not a readable notebook" in str(problem)


def test_remedies_name_runbooks_and_their_parameters(tmp_path: Path) -> None:
    file = tmp_path / "checks.py"
    file.write_text(
        'a = treated_by("queues/pause", "stops it", queue="{queue}")\n'
        'b = check.treated_by("queues/paus", "stops it")\n'
        'c = treated_rows("queues/resume", "resumes it", metric="x", column="n", quue="name")\n'
        'd = Remedy(runbook="database/restor", why="it helps", apply=True)\n'
        'e = Remedy(runbook="queues/pause", parameters={"queue": 1, "quue": 2})\n'
        "f = treated_by(name, why)\n"
    )
    found = [str(each).removeprefix("checks.py:") for each in remedies(file, KNOWN)]
    assert found == [
        "2: there is no runbook 'queues/paus'. Did you mean 'queues/pause'?",
        "3: queues/resume has no parameter 'quue'. Did you mean 'queue'?",
        "4: there is no runbook 'database/restor'. Did you mean 'database/restore'?",
        "5: queues/pause has no parameter 'quue'. Did you mean 'queue'?",
    ]
    file.write_text("def (")
    (broken,) = remedies(file, KNOWN)
    assert str(broken).startswith("checks.py:1: it cannot be read")


def test_schedules_name_runbooks_and_their_parameters(tmp_path: Path) -> None:
    table = '[[schedules]]\nname = "{}"\nrunbook = "{}"\ncron = "1 1 * * *"\ntargets = ["x"]\n'
    wrong = table.format("a", "health/dayly")
    mistyped = table.format("b", "health/daily") + "parameters = { hour = 1 }\n"
    (tmp_path / "opsnb.toml").write_text(wrong + mistyped + table.format("c", "health/daily"))
    found = [str(each) for each in schedules(load_config(), KNOWN)]
    assert [line.partition(", ")[0].partition(". ")[0] for line in found] == [
        "opsnb.toml: schedule a: there is no runbook 'health/dayly'",
        "opsnb.toml: schedule b: health/daily has no parameter 'hour'",
    ]


def test_every_rule_says_what_it_demands() -> None:
    assert all(rule.__doc__ for rule in RULES.values())
