"""Charts say what the rows say, bear any name, and take the page's colours."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from opsnb.model import Finding, Row, Status, Threshold
from opsnb.view import charts

LIMIT = Threshold(metric="m", label="m", unit="jobs", warn=100, crit=500)


def finding(*names: str, value: float = 700) -> Finding:
    rows = [{"queue": name, "waiting": value, "failed": 2, "percent": 42.0} for name in names]
    return Finding(
        title="Queue length", status=Status.CRIT, message="x", threshold=LIMIT, rows=rows
    )


def drawn(found: Finding) -> list[charts.Chart]:
    return [
        charts.bars(found, by="queue", parts=["waiting", "failed"]),
        charts.samples(found, value="waiting"),
        charts.levels(found, by="queue", percent="percent"),
    ]


@pytest.mark.parametrize(
    "name", ["ai-analysis", "a$x$b", "<script>alert(1)</script>", "&", "größe", ""]
)
def test_any_name_is_drawn_as_it_is(name: str) -> None:
    named, _, percent = drawn(finding(name, "other"))
    for chart in (named, percent):
        texts = [element.text or "" for element in ET.fromstring(chart.svg).iter()]
        assert "<script>" not in chart.svg
        assert name in texts


def test_the_page_decides_on_the_colour_of_text_and_lines() -> None:
    for chart in drawn(finding("a")):
        assert "currentColor" in chart.svg
        assert "#000000" not in chart.svg
        assert "http://www.w3.org/1999/xhtml" not in chart.svg


def test_a_chart_on_a_prepared_figure_is_the_same() -> None:
    found = finding("a", "b")
    before = drawn(found)
    charts.warm_up(len(before))
    assert drawn(found) == before


def test_the_limits_are_marked_where_they_are_in_sight() -> None:
    assert "crit 500" in charts.bars(finding("a"), by="queue", parts=["waiting"]).svg
    low = charts.bars(finding("a", value=3), by="queue", parts=["waiting"])
    assert "crit 500" not in low.svg


def test_limits_out_of_sight_are_told_in_words() -> None:
    for low in drawn(finding("a", value=3))[:2]:
        assert "warn above 100 jobs, crit above 500 jobs: beyond the axis" in low.svg
        assert low.text.endswith("\nLimits: warn above 100 jobs, crit above 500 jobs.")
    between = charts.samples(finding("a", value=300), value="waiting")
    assert "warn 100" in between.svg
    assert ">crit above 500 jobs: beyond the axis<" in between.svg
    assert "beyond the axis" not in charts.samples(finding("a"), value="waiting").svg


def forecast_of(high: float) -> charts.Chart:
    rows: list[Row] = [{"at": f"2026-11-{day:02}", "measured": day} for day in range(1, 6)]
    rows += [
        {"at": "2026-11-03", "expected": 3, "least": 3, "most": 3},
        {"at": "2026-11-20", "expected": high, "least": high - 5, "most": high + 5},
    ]
    found = Finding(title="Disk", status=Status.OK, message="x", threshold=LIMIT, rows=rows)
    return charts.forecast(found)


def test_a_forecast_shows_a_limit_that_is_near_and_none_that_is_far() -> None:
    near = forecast_of(90).svg
    assert "warn 100" in near
    assert "crit 500" not in near
    assert "warn 100" not in forecast_of(20).svg
    assert "2026-11-20" in forecast_of(20).text


def test_without_rows_it_is_said_why_there_is_no_chart() -> None:
    skipped = Finding(
        title="Queue length", status=Status.SKIPPED, message="Not measured: redis does not answer."
    )
    for chart in drawn(skipped):
        assert chart.svg == ""
        assert chart.text == "No chart: Not measured: redis does not answer."
    html = charts.grid_html(drawn(skipped))
    assert "Not measured" in html


def test_the_plain_form_is_the_numbers() -> None:
    text = charts.grid_text(drawn(finding("ai-analysis")))
    assert "Queue length" in text
    assert "ai-analysis  700      2" in text


def test_of_many_rows_the_worst_are_drawn() -> None:
    rows = [{"queue": f"q{n}", "waiting": n, "percent": n / 10} for n in range(300)]
    found = Finding(title="Queue length", status=Status.OK, message="x", rows=rows)
    chart = charts.bars(found, by="queue", parts=["waiting"])
    assert chart.title == "Queue length: the 20 highest of 300"
    assert "q299" in chart.text
    assert "q279" not in chart.text
    assert "q279" not in chart.svg
    assert "q280" in charts.levels(found, by="queue", percent="percent").svg
