"""Scales, ticks and what stands around a chart."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsnb.model import Threshold
from opsnb.view.drawing import WIDTH, Drawing, Scale, moments, numbers

START = datetime(2026, 11, 1, tzinfo=UTC)


def labels(span: timedelta, start: datetime = START) -> list[str]:
    ticks, context = moments(start.timestamp(), (start + span).timestamp())
    return [label for _, label in ticks] + [context]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (timedelta(seconds=20), ["00:00:00", "00:00:05", "00:00:10", "00:00:15", "00:00:20"]),
        (timedelta(hours=2), ["00:00", "00:30", "01:00", "01:30", "02:00"]),
        (timedelta(days=1), ["1 Nov", "06:00", "12:00", "18:00", "2 Nov"]),
        (timedelta(days=4), ["1 Nov", "2 Nov", "3 Nov", "4 Nov", "5 Nov"]),
        (timedelta(days=365), ["Jan 2027", "Apr 2027", "Jul 2027", "Oct 2027"]),
    ],
)
def test_moments_are_round_and_few(span: timedelta, expected: list[str]) -> None:
    *ticks, context = labels(span)
    assert ticks == expected
    day = f"{START + span:%F} UTC"
    long = "2026" if span < timedelta(days=60) else ""
    assert context == (day if span <= timedelta(days=1) else long)


@given(st.floats(0.001, 1e15))
def test_numbers_are_round_few_and_within_the_scale(high: float) -> None:
    ticks = [at for at, _ in numbers(high)]
    assert ticks[0] == 0
    assert 3 <= len(ticks) <= 7
    assert ticks[-1] <= high * 1.001
    step = ticks[1] / 10 ** math.floor(math.log10(ticks[1] * 1.0001))
    assert min(abs(step - round_) for round_ in (1, 2, 5)) < 0.001


def test_samples_are_counted_in_whole_numbers() -> None:
    assert [label for _, label in numbers(2.5, 0.5, whole=True)] == ["1", "2"]


def test_what_is_beyond_an_end_lies_at_that_end() -> None:
    scale = Scale(0, 10, 100, 0)
    assert [scale(at) for at in (-5, 0, 5, 10, 99)] == [100, 100, 50, 0, 0]


def drawn(*limits: float) -> ET.Element:
    drawing = Drawing((0, 10), (0, 100), ["100"], 100)
    drawing.ticks(numbers(10), numbers(100), "2026")
    drawing.line([(0, 1), (1, math.nan), (2, math.inf), (3, 5), (4, 6)], "#123456")
    drawing.legend({f"a rather long name {number}": "#123456" for number in range(9)})
    warn, crit = limits
    drawing.limits(Threshold(metric="", label="", unit="", warn=warn, crit=crit))
    return ET.fromstring(drawing.svg("A title & more"))


def test_a_line_is_broken_where_a_value_is_missing() -> None:
    (line,) = (path for path in drawn(50, 90).iter() if path.get("stroke") == "#123456")
    assert (line.get("d") or "").count("M") == 2
    assert (line.get("d") or "").count("L") == 1


def test_all_words_are_within_the_picture_and_apart() -> None:
    picture = drawn(50, 51)
    height = float((picture.get("viewBox") or "").split()[3])
    places = []
    for text in picture.iter():
        if text.tag.endswith("text"):
            x, y = float(text.get("x") or -1), float(text.get("y") or -1)
            assert 0 <= x <= WIDTH
            assert 0 < y < height
            places.append((x, y))
    assert len(set(places)) == len(places)
    warn, crit = (
        float(text.get("y") or 0)
        for text in picture.iter()
        if (text.text or "")[:4] in ("warn", "crit")
    )
    assert abs(warn - crit) >= 9
