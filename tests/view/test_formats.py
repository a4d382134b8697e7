"""Numbers, sizes, time spans and moments, as a person writes them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest

from opsnb.view import formats


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "jobs", "0 jobs"),
        (0.4213, "ms", "0.42 ms"),
        (71.26, "%", "71.3 %"),
        (12400, "jobs", "12,400 jobs"),
        (1503.4, "ms", "1,503 ms"),
        (math.nan, "%", "? %"),
        (math.inf, "ms", "? ms"),
        (1, "jobs", "1 job"),
        (1, "processes", "1 process"),
        (1, "ms", "1 ms"),
    ],
)
def test_numbers_are_written_as_a_person_writes_them(value: float, unit: str, text: str) -> None:
    assert formats.number(value, unit) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 s"),
        (0.32, "320 ms"),
        (2.5, "2.5 s"),
        (90, "90 s"),
        (120, "2 min"),
        (5400, "90 min"),
        (timedelta(hours=3, minutes=30), "3.5 h"),
        (172_800, "2 days"),
    ],
)
def test_a_span_has_its_natural_unit(length: float | timedelta, text: str) -> None:
    assert formats.span(length) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (4.2, "4.2 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3840, "1 h 4 min"),
        (7200, "2 h"),
        (259_200, "3 days"),
    ],
)
def test_a_duration_is_given_to_the_second(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=30), "30 days ago"),
    ],
)
def test_ages_are_in_words(passed: timedelta, text: str) -> None:
    assert formats.ago(passed.total_seconds()) == text


@pytest.mark.parametrize(
    ("count", "text"), [(512, "512 Bytes"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB")]
)
def test_sizes_are_binary(count: int, text: str) -> None:
    assert formats.size(count) == text


def test_a_moment_is_in_utc_whatever_it_is_given_as() -> None:
    moment = datetime(2026, 1, 31, 11, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert formats.utc(moment) == formats.utc(moment.timestamp()) == "2026-01-31 10:00:05 UTC"


def test_lists_end_with_and() -> None:
    assert [formats.and_list(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
