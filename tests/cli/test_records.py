"""`opsnb records` as a person types it: on a terminal, in a pipe, as JSON."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest

from opsnb.model import RunResult, Status
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.cli.test_at_the_terminal import COLOUR, COLUMNS, ended, typed
from tests.cli.test_cli import opsnb
from tests.records.index.test_index import CLEARED
from tests.records.test_store import START, make_notebook, make_result


def keep(result: RunResult, printed: str = "") -> RunResult:
    output = {"output_type": "stream", "name": "stdout", "text": printed}
    Store(os.environ["OPSNB_RECORDS"]).keep(result, make_notebook(result, output), Redactor())
    return result


@pytest.fixture
def runs() -> list[RunResult]:
    """A run that is ok, one that is critical and one that acted, the oldest first."""
    return [
        keep(make_result(), "ECONNREFUSED \x1b[2J" + "words " * 60),
        keep(
            make_result(
                START + timedelta(days=1),
                "cache/health",
                status=Status.CRIT,
                exit_code=2,
                error="Long. " * 40,
            )
        ),
        keep(make_result(START + timedelta(days=2), "cache/clear", actions=[CLEARED])),
    ]


def test_a_pipe_gets_a_line_for_each_record(runs: list[RunResult]) -> None:
    lines = opsnb("records", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["OK", runs[2].run_id],
        ["CRIT", runs[1].run_id],
        ["OK", runs[0].run_id],
    ]
    assert opsnb("records", "list", "--limit", "1").stdout.splitlines() == lines[:1]
    assert opsnb("records", "list", "--limit", "0").stdout.splitlines() == lines
    filtered = opsnb("records", "list", "--status", "crit", "--runbook", "cache/*", "-t", "demo")
    assert filtered.stdout.splitlines() == lines[1:2]
    acted = opsnb("records", "list", "--acted", "--since", "2026-11-25", "--until", "2026-11-25")
    assert acted.stdout.splitlines() == lines[:1]


def test_json_is_one_document_of_whole_results(runs: list[RunResult]) -> None:
    listed = json.loads(opsnb("records", "list", "--json").stdout)
    assert [RunResult.model_validate(each) for each in listed] == runs[::-1]
    assert json.loads(opsnb("records", "list", "--json", "--operator", "nobody").stdout) == []
    assert json.loads(opsnb("records", "search", "--json", "zebra").stdout) == []
    (hit,) = json.loads(opsnb("records", "search", "--json", "econnrefused").stdout)
    assert hit["run_id"] == runs[0].run_id
    assert hit["snippet"].startswith("ECONNREFUSED words")


def test_what_fits_nothing_is_said(runs: list[RunResult]) -> None:
    assert "No record fits." in opsnb("records", "list", "--incident", "none").stdout
    assert "No record matches." in opsnb("records", "search", "zebra").stdout
    assert runs[2].run_id in opsnb("records", "search", "who cleared the cache?").stdout
    assert opsnb("records", "search", "--", "--x", '"', "AND", "NEAR(").returncode == 0


@pytest.mark.usefixtures("runs")
def test_a_wrong_filter_is_refused() -> None:
    for option, value, named in (
        ("--since", "soon", "'soon' is not a time"),
        ("--status", "bad", "'bad'"),
        ("--limit", "-1", "'--limit'"),
    ):
        done = opsnb("records", "list", option, value)
        assert done.returncode == 64
        assert named in done.stderr


def test_an_empty_store_says_how_to_begin() -> None:
    assert "opsnb run health/daily" in opsnb("records", "list").stdout
    assert opsnb("records", "list", "--json").stdout == "[]\n"


@pytest.mark.parametrize("words", [["list"], ["search", "econnrefused"], ["search", "long"]])
def test_a_terminal_of_80_columns_is_enough(runs: list[RunResult], words: list[str]) -> None:
    screen, raw, code = ended(typed("records", *words))
    assert code == 0
    lines = COLOUR.sub("", raw).splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert any(run.run_id in line for run in runs for line in screen.seen)


def test_reindex_makes_the_index_and_damaged_results_again(runs: list[RunResult]) -> None:
    store = Store(os.environ["OPSNB_RECORDS"])
    store.place.files.pipe_file(f"{store._path(runs[0].run_id)}/result.json", b"{")
    listed = opsnb("records", "list")
    assert runs[0].run_id not in listed.stdout
    assert "opsnb records reindex" in listed.stderr
    assert opsnb("records", "reindex").stdout == f"Rebuilt: {runs[0].run_id}\n"
    listed = opsnb("records", "list")
    assert runs[0].run_id in listed.stdout
    assert listed.stderr == ""
