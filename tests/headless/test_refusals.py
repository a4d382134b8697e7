"""Whatever unusable parameters are given: exit code 64, one sentence, and nothing is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsnb import catalog
from opsnb.cli.run import run
from opsnb.errors import ParameterError
from opsnb.params.cell import Parameter
from tests.headless import notebook
from tests.test_catalog import ALL_KINDS

OPSNB = str(Path(sys.executable).with_name("opsnb"))
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text("abcdefghijklmnopqrstuvwxyz-_ ", min_size=1, max_size=12)
no_number = st.one_of(
    words.map(lambda word: f"x{word}"),
    st.sampled_from(["", " ", "nan", "inf", "-inf", "1y", "h", "0x10", "--1", "1e400", "true"]),
)
out_of_bounds = st.sampled_from(["-1", "99999999999999999", "99999999w"])
no_text = text.map(lambda word: f"{word}\0")
no_json = st.sampled_from(["[", "[1", '["a\\u0000"]', "[[]]", '[{"a": 1}]', "[" * 5000])
# What none of these types takes, whatever its bounds.
UNUSABLE: dict[Any, st.SearchStrategy[str]] = {
    list: no_json,
    dict: st.one_of(no_number, st.sampled_from(["[]", "{", '{"a": "b"}', '{"a": true}'])),
    int: st.one_of(no_number, st.sampled_from(["1.5", "1e9", "9" * 5000])),
    float: no_number,
    bool: st.sampled_from(["", "maybe", "2", "-1", "truee", "None", "[]", "0.5"]),
}


def unusable_value(parameter: Parameter) -> st.SearchStrategy[str]:
    """Values that `parameter` cannot take."""
    kinds = parameter._kinds
    if choices := parameter._choices:
        # A number may be taken beside the choices.
        values = UNUSABLE[int] if int in kinds else text
        return values.filter(lambda word: word not in choices)
    if str in kinds:
        dated = parameter.type in ("date", "time")
        return st.one_of(no_text, no_number) if dated else no_text
    values = next(values for kind, values in UNUSABLE.items() if kind in kinds)
    if kinds & {int, float} and parameter.annotation not in (int, float, int | None):
        values = st.one_of(values, out_of_bounds)
    if type(None) in kinds:
        values = values.filter(lambda word: word.strip())
    return values


Unusable = dict[str, dict[str, st.SearchStrategy[str]]]
"""What each parameter of each runbook cannot take."""


@pytest.fixture(scope="module")
def runbooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unusable]:
    """All runbooks that there are, and one with parameters of every kind."""
    root = tmp_path_factory.mktemp("notebooks")
    for section in catalog.share("notebooks").glob("[a-z]*"):
        (root / section.name).symlink_to(section)
    (root / "test").mkdir()
    notebook.write(root / "test/all.ipynb", ALL_KINDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "share", lambda _: root)
        yield {
            info.id: {each.name: unusable_value(each) for each in info.parameters}
            for info in catalog.runbooks()
        }


@pytest.fixture(scope="module")
def started() -> list[str]:
    """The processes that this one has begun to start, from now on."""
    events: list[str] = []
    sys.addaudithook(lambda event, _: events.append(event) if event in STARTS else None)
    return events


@st.composite
def unusable(draw: st.DrawFn, runbooks: Unusable) -> tuple[str, list[str]]:
    """A runbook and options of which at least one cannot be used."""
    id_ = draw(st.sampled_from(sorted(runbooks)))
    parameters = runbooks[id_]
    how = draw(st.sampled_from(["unknown", "no value", "twice", *["mistyped"] * 3]))
    name = draw(st.sampled_from(sorted(parameters)))
    if how == "unknown":
        name = draw(words.filter(lambda word: word not in parameters))
        options = [f"{name}={draw(text)}"]
    elif how == "no value":
        options = [draw(text.filter(lambda word: "=" not in word[1:]))]
    elif how == "twice":
        options = [f"{name}={draw(words)}"] * 2
    else:
        options = [f"{name}={draw(parameters[name])}"]
    # Others, as unusable as they come, must not make the refusal any other.
    return id_, draw(st.permutations([*options, *draw(st.just([]) | st.lists(text, max_size=2))]))


_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


# Ten sets to an example, 10,000 in all: an example by itself takes longer than a refusal.
@settings(max_examples=1_000, deadline=None, suppress_health_check=_SLOW)
@given(data=st.data())
def test_unusable_parameters_are_refused_before_anything_is_started(
    data: st.DataObject, runbooks: Unusable, started: list[str]
) -> None:
    for runbook, options in data.draw(st.lists(unusable(runbooks), min_size=10, max_size=10)):
        with pytest.raises(ParameterError) as caught:
            run(runbook, parameter=options)
        assert caught.value.exit_code == 64
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
        assert not started


def refuse(*words: str) -> str:
    """Return the one line with which `opsnb run` refuses `words`; it leaves nothing behind."""
    told = subprocess.run([OPSNB, "run", *words], capture_output=True, text=True, check=False)
    assert told.returncode == 64
    assert told.stdout == ""
    assert told.stderr.startswith("opsnb: ")
    assert told.stderr.count("\n") == 1
    assert not Path(os.environ["OPSNB_RECORDS"]).exists()
    assert not Path(os.environ["XDG_STATE_HOME"]).exists()
    return told.stderr


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
        ["x" * 100_000],
    ],
)
def test_the_command_says_one_line_and_leaves_nothing(options: list[str]) -> None:
    assert len(refuse("health/daily", *(each for word in options for each in ("-p", word)))) < 300


@pytest.mark.parametrize(
    ("option", "parameter"), [(["--apply"], "apply=false"), (["--confirm", "shop"], "confirm=demo")]
)
def test_an_option_and_its_parameter_do_not_contradict(option: list[str], parameter: str) -> None:
    told = refuse("queues/pause", *option, "-p", parameter)
    assert f"Set it with {option[0]} alone" in told


def test_every_kind_of_parameter_refuses_what_is_none(tmp_path: Path) -> None:
    path = notebook.write(tmp_path / "all.ipynb", ALL_KINDS)
    info = catalog.RunbookInfo("test/all", path)
    for parameter in info.parameters:
        for nonsense in ({"a": {"b": object()}}, [[object()]], object()):
            with pytest.raises(ParameterError):
                info.check({parameter.name: nonsense})
