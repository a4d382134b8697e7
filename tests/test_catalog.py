"""Parameters are read from a notebook's cell, and checked as its annotations say."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import papermill
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from papermill.translators import translate_parameters

from opsnb import catalog
from opsnb.catalog import RunbookInfo
from opsnb.errors import ConfigError, ParameterError
from tests.headless import notebook

ALL_KINDS = """
from typing import Literal
from opsnb.params import Apply, Date, Duration, Hours, Moment, Samples, TargetName, Window
target: TargetName = "demo"
name: str = "x"
order: str | None = None  # which one
count: int = 1
share: float = 0.5
samples: Samples = 10
hours: Hours = 24
wait: Duration = 90
watch: Window = 5
day: Date = "2026-11-23"
at: Moment = "2026-11-23T07:15"
kind: Literal["fast", "slow"] = "fast"
level: Literal[1, 2] = 1
days: list[Date] = []
until: Date | None = None
tables: list[str] = []
ports: list[int] = [1]
options: dict[str, int] = {}
limit: int | None = None
apply: Apply = False
"""


@pytest.fixture
def info(tmp_path: Path) -> RunbookInfo:
    return RunbookInfo("test/all", notebook.write(tmp_path / "all.ipynb", ALL_KINDS))


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("name", "007", "007"),
        ("name", "a=b\nc ü 漢 'q' \"", "a=b\nc ü 漢 'q' \""),
        ("name", "none", "none"),
        ("order", "none", None),
        ("order", "", None),
        ("order", "Nonesuch", "Nonesuch"),
        ("limit", "null", None),
        ("limit", "7", 7),
        ("count", "-3", -3),
        ("share", "1e-3", 0.001),
        ("hours", "1h30m", 1.5),
        ("wait", "30m", 1800.0),
        ("wait", "1d 12h", 129_600.0),
        ("day", "2026-02-28", "2026-02-28"),
        ("at", "2026-11-23T07:15+01:00", "2026-11-23T07:15:00+01:00"),
        ("watch", "500ms", 0.5),
        ("day", date(2026, 2, 28), "2026-02-28"),
        ("at", datetime(2026, 11, 23, 7, 15, tzinfo=UTC), "2026-11-23T07:15:00+00:00"),
        ("days", [date(2026, 2, 28)], ["2026-02-28"]),
        ("until", "null", None),
        ("until", date(2026, 2, 28), "2026-02-28"),
        ("kind", "slow", "slow"),
        ("level", "2", 2),
        ("level", 2, 2),
        ("tables", "a, b", ["a", "b"]),
        ("tables", '["a,b", "c"]', ["a,b", "c"]),
        ("tables", "", []),
        ("tables", ["a"], ["a"]),
        ("ports", "80,443", [80, 443]),
        ("options", '{"a": 1}', {"a": 1}),
        ("apply", "yes", True),
        ("apply", False, False),
    ],
)
def test_values_are_understood(info: RunbookInfo, name: str, given: Any, value: Any) -> None:
    checked = info.check({name: given})[name]
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("nmae", "x", "Did you mean 'name'?"),
        ("HOURS", "1", "Did you mean 'hours'?"),
        ("\N{FULLWIDTH LATIN SMALL LETTER H}ours", "1", "Did you mean 'hours'?"),
        ("kind", "fsat", "Did you mean 'fast'?"),
        ("kind", "SLOW", "Did you mean 'slow'?"),
        ("level", "3", "Known: 1, 2."),
        ("level", True, "not true or false"),
        ("name", 7, "valid string"),
        ("name", "a\0b", "invalid characters"),
        ("name", "x" * 100_000, "longer than 65536"),
        ("tables", '["a\\u0000"]', "invalid characters"),
        ("tables", ["a\0"], "invalid characters"),
        ("options", {"a\0": 1}, "invalid characters"),
        ("options", '{"a":' * 5000, "recursion limit"),
        ("order", 7, "valid string"),
        ("count", "1.5", "valid integer"),
        ("count", True, "not true or false"),
        ("count", 2**63, "too large"),
        ("ports", "[true]", "not true or false"),
        ("share", "nan", "finite"),
        ("share", "inf", "finite"),
        ("samples", "0", "greater than or equal to 1"),
        ("hours", "3y", "30m, 24h, 2d"),
        ("wait", "-5m", "90s, 30m"),
        ("wait", "400d", "less than or equal"),
        ("wait", "9" * 400 + "d", "finite"),
        ("watch", "2m", "less than or equal"),
        ("day", "x" * 5000, "no such day"),
        ("day", datetime(2026, 11, 23, tzinfo=UTC), "a date, such as"),
        ("until", "soon", "such as 2026-11-23, or none"),
        ("day", "2026-02-30", "2026-11-23"),
        ("at", "soon", "a date and time"),
        ("tables", [1], "valid string"),
        ("tables", "[1", "JSON"),
        ("ports", "80,http", "valid integer"),
        ("options", "a=1", "valid dictionary"),
        ("limit", "some", "valid integer"),
        ("apply", "perhaps", "false shows the plan"),
    ],
)
def test_what_is_unusable_is_told(info: RunbookInfo, name: str, given: Any, told: str) -> None:
    with pytest.raises(ParameterError) as caught:
        info.check({name: given})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_notebook_gets_what_was_checked_and_nothing_else(
    info: RunbookInfo, tmp_path: Path
) -> None:
    given = {"name": 'it\'s "007"\n\\', "order": "none", "tables": "a,b", "day": "2026-11-23"}
    values = info.validate(given | {"wait": "1h", "options": '{"ü": 1}'})
    path = tmp_path / "out.ipynb"
    prepared = papermill.execute_notebook(info.path, path, values, prepare_only=True)
    injected: dict[str, Any] = {}
    exec(prepared.cells[1].source, injected)
    del injected["__builtins__"]
    assert injected == values
    assert set(values) == {parameter.name for parameter in info.parameters}


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_every_text_reaches_the_notebook_as_it_is(info: RunbookInfo, name: str) -> None:
    values = info.validate({"name": name})
    injected: dict[str, Any] = {}
    exec(translate_parameters("python3", "python", values, "Parameters"), injected)
    assert injected["name"] == name
    assert json.loads(json.dumps(values)) == values


def test_defaults_are_as_json_has_them(tmp_path: Path) -> None:
    cell = "x: set[int] = {1}\ny: tuple[str, ...] = ('a',)\nz: float = 24"
    path = notebook.write(tmp_path / "defaults.ipynb", f'"""What it takes."""\n{cell}')
    values = RunbookInfo("test/defaults", path).validate({})
    assert values == {"x": [1], "y": ["a"], "z": 24}


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("from opsnb.params import Nonesuch\nx: Nonesuch = 1", "cannot import name 'Nonesuch'"),
        ("x: int = [", "SyntaxError"),
        ("x: int = print()", "each with a literal"),
        ("x: int = 'many'", "Parameter x='many' cannot be used"),
        ("x: Unknown = 1", "'Unknown' is not defined"),
        ("x: (1 / 0) = 1", "division by zero"),
        ("import nonesuch\nx: int = 1", "No module named 'nonesuch'"),
        ("x: int = print()", "the default of x, 'print()', is no literal"),
        ("from opsnb.params import Hours\nx: Hours = '24h'", "the text '24h' and should be 24.0"),
        ("x: int = 1\ny = 2", "'y = 2' declares no parameter"),
        ("x: int = 1\nx: str = ''", "x is declared twice"),
        ("x: 3", "x has the type '3'"),
        ("x: list['Nope']", "which no value can be checked by"),
    ],
)
def test_a_broken_parameters_cell_is_one_sentence(tmp_path: Path, cell: str, told: str) -> None:
    info = RunbookInfo("test/broken", notebook.write(tmp_path / "broken.ipynb", cell))
    with pytest.raises(ConfigError) as caught:
        info.validate({})
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("about", "reviewed"),
    [
        ({"opsnb": {"reviewed": "2026-11-25"}}, date(2026, 11, 25)),
        ({"opsnb": {"reviewed": "last week"}}, None),
        ({"opsnb": {"reviewed": 20261125}}, None),
        ({"opsnb": ["reviewed"]}, None),
        ({}, None),
    ],
)
def test_when_it_was_reviewed_stands_in_its_metadata(
    tmp_path: Path, about: dict[str, Any], reviewed: date | None
) -> None:
    path = notebook.write(tmp_path / "reviewed.ipynb", "x: int = 1", **about)
    assert RunbookInfo("test/reviewed", path).reviewed == reviewed


def test_a_broken_file_tells_of_no_review(tmp_path: Path) -> None:
    (tmp_path / "broken.ipynb").write_text("[]")
    with pytest.raises(ConfigError, match="not a readable notebook"):
        _ = RunbookInfo("test/broken", tmp_path / "broken.ipynb").reviewed


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("queues/clean_failed", {"queue": "it's mine", "older_than": 1.5, "state": "completed"}),
        ("cache/clear", {"pattern": "a b*", "queue_keys": True}),
        ("deployment/pre_deploy", {"hours": 36.0, "reviewed_by": "Ada Lovelace, QA"}),
        ("database/reindex", {"concurrently": False}),
    ],
)
def test_the_command_repeats_a_run_exactly(name: str, given: dict[str, Any]) -> None:
    info = catalog.runbook(name)
    values = info.validate({"target": "shop"} | given)
    words = shlex.split(catalog.again(name, "shop", values))
    typed = [word.partition("=")[::2] for flag, word in pairwise(words) if flag == "-p"]
    assert {option for option, _ in typed} == set(given)
    assert info.validate({"target": "shop"} | dict(typed)) == values
