"""What the parameter types take and refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from opsnb.params import (
    Age,
    Apply,
    Duration,
    Hours,
    Milliseconds,
    Minutes,
    Samples,
    Seconds,
    TargetName,
    Window,
)
from opsnb.params.cell import Parameter


@pytest.mark.parametrize(
    ("given", "hours"),
    [(24, 24.0), ("24", 24.0), ("90m", 1.5), ("24h", 24.0), ("2d", 48.0), ("1w", 168.0),
     ("1800 s", 0.5), (" 1.5h ", 1.5), (0.25, 0.25)],
)  # fmt: skip
def test_hours_understand_units(given: Any, hours: float) -> None:
    assert TypeAdapter(Hours).validate_python(given) == pytest.approx(hours)


@pytest.mark.parametrize(
    ("span", "given", "number"),
    [
        (Seconds, "1m30s", 90),
        (Minutes, "2h", 120),
        (Window, "500ms", 0.5),
        (Milliseconds, "2s", 2000),
        (Milliseconds, "3ms", 3),
        (Milliseconds, "40", 40),
    ],
)
def test_every_span_understands_units(span: Any, given: str, number: float) -> None:
    assert TypeAdapter(span).validate_python(given) == pytest.approx(number)


@pytest.mark.parametrize(
    ("span", "given", "typed"),
    [
        (Minutes, "1s", "1s"),
        (Minutes, "10s", "10s"),
        (Minutes, "90s", "90s"),
        (Minutes, "5m", 5),
        (Minutes, "2d", "2d"),
        (Minutes, "100ms", "100ms"),
        (Minutes, 0.0123, "738ms"),
        (Hours, 24, 24),
        (Hours, "90m", "90m"),
        (Hours | None, "1ms", "1ms"),
        (Hours | None, None, None),
        (Hours, 0.00000012345, "0.00000012345h"),
        (Duration, "2d", "2d"),
        (Duration, 1001, "1001s"),
        (Milliseconds, "1.5ms", "1.5ms"),
        (Age, 0, 0),
        (Samples, 3, 3),
        (TargetName, "0.5", "0.5"),
    ],
)
def test_a_span_is_typed_as_it_was_given(span: Any, given: Any, typed: Any) -> None:
    parameter = Parameter("x", "span", default=None, description="", annotation=span)
    value = parameter.parse(given)
    assert parameter.typed(value) == typed
    assert parameter.parse(parameter.typed(value)) == value


@pytest.mark.parametrize(
    "given",
    [
        0,
        -1,
        "-1h",
        "2D",
        "5m s",
        "\N{ARABIC-INDIC DIGIT THREE}h",
        "1y",
        "h",
        "",
        "nan",
        "inf",
        "60w",
        None,
        [],
    ],
)
def test_no_span_at_all_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Hours).validate_python(given)


def test_names_stay_strings() -> None:
    assert TypeAdapter(TargetName).validate_python("007") == "007"
    for name in (7, None):
        with pytest.raises(ValidationError):
            TypeAdapter(TargetName).validate_python(name)


@pytest.mark.parametrize("count", [0, 1001, 1.5, "many"])
def test_samples_are_bounded(count: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Samples).validate_python(count)


@pytest.mark.parametrize("text", ["maybe", "", 2, None])
def test_apply_is_never_guessed(text: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Apply).validate_python(text)
