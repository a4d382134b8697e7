"""The parameters cell of a working copy: filled in where each parameter stands, and disarmed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opsnb import catalog
from opsnb.lab import cells

PARAMETERS = """from opsnb.params import Apply, Confirm, QueueName, TargetName

target: TargetName = ""  # which système; empty for the only one
queue: QueueName = (
    "emails"
)  # the queue
hours: list[float] = [1, 2]
apply: Apply = False
confirm: Confirm = ""
"""


def notebook(*sources: str, tags: tuple[str, ...] = ("parameters",)) -> dict[str, Any]:
    first = [{"cell_type": "code", "metadata": {"tags": list(tags)}, "source": sources[0]}]
    rest = [{"cell_type": "code", "metadata": {}, "source": each} for each in sources[1:]]
    return {"cells": [*first, *rest]}


def test_each_value_stands_in_its_place_with_its_type_and_comment() -> None:
    copy = notebook(PARAMETERS)
    given = {"target": 'p"ö\\', "queue": "a\nb", "hours": [0.5], "apply": True, "confirm": "x"}
    cells.fill_in(copy, given)
    source = copy["cells"][0]["source"]
    assert 'target: TargetName = "p\\"ö\\\\"  # which système; empty for the only one' in source
    assert "apply: Apply = True" in source
    assert cells.parameters(copy) == given


@pytest.mark.parametrize("info", catalog.runbooks(), ids=lambda info: str(info.id))
def test_a_runbook_takes_its_values_and_is_armed_nowhere(info: catalog.RunbookInfo) -> None:
    copy = json.loads(info.path.read_text())
    assert not cells.disarm(copy)
    values = {each.name: each.default for each in info.parameters} | {"target": "prod"}
    cells.fill_in(copy, values)
    assert cells.parameters(copy) == values


@pytest.mark.parametrize(
    ("armed", "disarmed"),
    [
        ('apply = True\nconfirm = "prod"', 'apply = False\nconfirm = ""'),
        ("apply: Apply = True  # act", "apply: Apply = False  # act"),
        ("apply = 1; x = 'ü'; confirm = 'prod'", "apply = False; x = 'ü'; confirm = \"\""),
        ("if x:\n    apply = True", "if x:\n    apply = False"),
        (
            "rb = Runbook(target, apply=True, confirm='prod')",
            'rb = Runbook(target, apply=False, confirm="")',
        ),
        ('apply: Apply = True\nqueue = "', 'apply: Apply = False\nqueue = "'),  # being typed
        ("apply = bool(1)", "apply = False"),
        ("rb = Runbook(target, apply=apply)", None),
        ("rb.act(queues.pause, queue)", None),
        ("apply = False\nconfirm = ''", None),
        ("applied = True", None),
        ("%load_ext x\napply = True", "%load_ext x\napply = False"),
    ],
)
def test_no_cell_stays_armed(armed: str, disarmed: str | None) -> None:
    copy = notebook("target = 'prod'", armed)
    assert cells.disarm(copy) is (disarmed is not None)
    assert copy["cells"][1]["source"] == (disarmed or armed)
    assert not cells.disarm(copy)


def test_parameters_are_unknown_while_one_is_being_typed() -> None:
    assert cells.parameters(notebook('target = "')) == {}
