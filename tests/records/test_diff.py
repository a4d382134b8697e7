"""What differs between two runs, as the command says it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from opsnb.config.file import load_config
from opsnb.errors import UsageError
from opsnb.model import Finding, RunResult, Status
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.test_prune import records
from tests.records.test_store import START, keep, make_notebook, make_result


def finding(name: str, status: Status, value: float | None, message: str) -> Finding:
    return Finding(name=name, status=status, value=value, unit="ms", message=message)


def two_runs() -> tuple[RunResult, RunResult]:
    """Keep two runs of which nothing is the same but one finding."""
    store = Store(load_config().store)
    first = make_result(
        findings=[
            finding("api.health", Status.OK, 12, "Answered in 12 ms."),
            finding("cache.latency", Status.OK, 10, "10 ms."),
            finding("queues.failed", Status.WARN, 3, "3 failed jobs."),
            finding("database.size", Status.OK, 5, "5 MB."),
        ],
        parameters={"target": "demo", "hours": 24},
    )
    keep(store, first)
    second = make_result(
        START + timedelta(hours=1),
        status=Status.CRIT,
        exit_code=2,
        findings=[
            finding("api.health", Status.CRIT, 1500, "Answered in 1.5 s, above 1 s. " * 4),
            finding("cache.latency", Status.OK, 11, "11 ms."),
            finding("host.disk", Status.UNKNOWN, None, "Not measured."),
            finding("database.size", Status.OK, 5, "5 MB."),
        ],
        parameters={"target": "demo", "hours": 2},
    )
    notebook = make_notebook(second)
    notebook["cells"][0]["source"] = ["rb.check(api.health)\n", "rb.check(cache.latency)"]
    injected = {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": "x=1"}
    notebook["cells"].insert(0, injected)
    store.keep(second, notebook, Redactor())
    return first, second


def test_one_run_is_compared_with_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    first, second = two_runs()
    other = make_result(START + timedelta(minutes=30), target="other")
    keep(Store(load_config().store), other)
    _, said = records("diff", second.run_id)
    assert said.index(first.run_id) < said.index(second.run_id)
    assert other.run_id not in said
    for line in (
        "OK -> CRIT  api.health",
        "UNKNOWN  host.disk",
        "WARN  queues.failed",
        "+1,488 ms (125 times)",
        "+1 ms (+10 %)",
        "hours",
        "+rb.check(cache.latency)",
    ):
        assert line in said
    assert "database.size" not in said
    assert "x=1" not in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_document_says_how_each_finding_changed() -> None:
    first, second = two_runs()
    _, said = records("diff", first.run_id[-4:], "latest", "--json")
    document = json.loads(said)
    assert (document["before"]["run_id"], document["after"]["run_id"]) == (
        first.run_id,
        second.run_id,
    )
    kinds = {each["name"]: (each["kind"], each["change"]) for each in document["findings"]}
    assert kinds == {
        "api.health": ("changed", 1488),
        "cache.latency": ("number", 1),
        "queues.failed": ("went", None),
        "host.disk": ("appeared", None),
    }
    assert document["parameters"] == {"hours": {"before": 24, "after": 2}}
    assert "+rb.check(cache.latency)" in document["source"]


def test_equal_runs_have_no_difference_and_a_first_run_has_none_before() -> None:
    first, _ = two_runs()
    assert "No difference" in records("diff", "latest", "latest")[1]
    with pytest.raises(UsageError, match="first run of health/daily on demo"):
        records("diff", first.run_id)


def test_without_a_notebook_the_findings_are_compared() -> None:
    first, second = two_runs()
    store = Store(load_config().store)
    store.place.files.rm_file(store.place.record(first.run_id, "record.ipynb"))
    said = records("diff", second.run_id)[1]
    assert "OK -> CRIT  api.health" in said
    assert "Source of the runbook" not in said
