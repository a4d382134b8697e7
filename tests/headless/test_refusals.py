"""Whatever unusable parameters are given: exit code 64, one sentence, and nothing is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsnb import catalog, cli
from opsnb.errors import ParameterError
from tests.headless import notebook
from tests.test_catalog import ALL_KINDS

OPSNB = str(Path(sys.executable).with_name("opsnb"))
RUNBOOKS = {info.id: info for info in catalog.runbooks()}
KNOWN = {id_: [each.name for each in info.parameters] for id_, info in RUNBOOKS.items()}

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text("abcdefghijklmnopqrstuvwxyz-_ ", min_size=1, max_size=12)
# What none of these types takes, whatever its bounds.
UNUSABLE: dict[Any, st.SearchStrategy[str]] = {
    int: st.one_of(
        words.map(lambda word: f"x{word}"),
        st.sampled_from(["", " ", "1.5", "nan", "inf", "-1", "1e9", "0x10", "99999999999999999"]),
    ),
    float: st.one_of(
        words.map(lambda word: f"x{word}"),
        st.sampled_from(["", "nan", "inf", "-inf", "-1", "1y", "h", "1e400", "99999999w", "--1"]),
    ),
    bool: st.sampled_from(["", "maybe", "2", "-1", "truee", "None", "[]", "0.5"]),
}


def unusable_value(parameter: catalog.Parameter) -> st.SearchStrategy[str] | None:
    """Values that `parameter` cannot take; None for one that takes every text."""
    kinds = parameter._kinds
    if words_of := parameter._choices:
        return text.filter(lambda word: word not in words_of)
    return next((values for kind, values in UNUSABLE.items() if kind in kinds), None)


@st.composite
def unusable(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A runbook and options of which at least one cannot be used."""
    runbook = draw(st.sampled_from(sorted(RUNBOOKS)))
    wrong = {each.name: unusable_value(each) for each in RUNBOOKS[runbook].parameters}
    typed = sorted(name for name, values in wrong.items() if values is not None)
    how = draw(st.sampled_from(["unknown", "no value", "twice", *(["mistyped"] * 3 * bool(typed))]))
    if how == "unknown":
        name = draw(words.filter(lambda word: word not in KNOWN[runbook]))
        options = [f"{name}={draw(text)}"]
    elif how == "no value":
        options = [draw(text.filter(lambda word: "=" not in word[1:]))]
    elif how == "twice":
        options = [f"target={draw(words)}"] * 2
    else:
        name = draw(st.sampled_from(typed))
        values = wrong[name]
        assert values is not None
        options = [f"{name}={draw(values)}"]
    return runbook, draw(st.permutations([*options, *draw(st.lists(text, max_size=2))]))


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", started)


@pytest.mark.usefixtures("nothing_starts")
@settings(
    max_examples=10_000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(unusable())
def test_unusable_parameters_are_refused_before_anything_is_started(
    wanted: tuple[str, list[str]],
) -> None:
    runbook, options = wanted
    with pytest.raises(ParameterError) as caught:
        cli.run(runbook, parameter=options)
    assert caught.value.exit_code == 64
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        ["nonesuch=1"],
        ["hours=-1"],
        ["hours"],
        ["samples=many", "hours=2"],
        ["hours=1", "hours=2"],
        ["target="],
        ["hours=\udcff"],
    ],
)
def test_the_command_says_one_line_and_leaves_nothing(options: list[str], tmp_path: Path) -> None:
    words = [word for option in options for word in ("-p", option)]
    told = subprocess.run(
        [OPSNB, "run", "health/daily", *words], capture_output=True, text=True, check=False
    )
    assert told.returncode == 64
    assert told.stdout == ""
    assert told.stderr.startswith("opsnb: ")
    assert told.stderr.count("\n") == 1
    assert not Path(os.environ["OPSNB_RECORDS"]).exists()
    assert not Path(os.environ["XDG_STATE_HOME"]).exists()


def test_every_kind_of_parameter_refuses_what_is_none(tmp_path: Path) -> None:
    path = notebook.write(tmp_path / "all.ipynb", ALL_KINDS)
    info = catalog.RunbookInfo("test/all", path)
    for parameter in info.parameters:
        for nonsense in ({"a": {"b": object()}}, [[object()]], object()):
            with pytest.raises(ParameterError):
                info.check({parameter.name: nonsense})
