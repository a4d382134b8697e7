"""Every word of a chart is within it and apart from the others; lines keep what can be seen."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import combinations

from opsnb.model import Finding, Row, Status, Threshold
from opsnb.view import charts
from opsnb.view.compact_svg import compacted
from opsnb.view.drawing import WIDTH
from tests.browser import chromium

LONG = "a-queue-whose-name-is-longer-than-anybody-would-type"
OUTSIDE = """() => [...document.querySelectorAll("svg")].flatMap(svg => {
    const all = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < all.left - 1 || box.right > all.right + 1
            || box.top < all.top - 1 || box.bottom > all.bottom + 1;
    }).map(text => svg.getAttribute("aria-label") + ": " + text.textContent);
})"""
COVERED = """() => [...document.querySelectorAll("svg")].flatMap(svg => {
    const boxes = [...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect());
    return boxes.flatMap((one, at) => boxes.slice(at + 1).filter(two =>
        Math.min(one.right, two.right) - Math.max(one.left, two.left) > 1
        && Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top) > 2
    ).map(() => svg.getAttribute("aria-label")));
})"""


def finding(title: str, rows: list[Row], *limits: float) -> Finding:
    warn, crit = limits or (None, None)
    threshold = Threshold(metric="m", label="m", unit="jobs", warn=warn, crit=crit)
    return Finding(title=title, status=Status.OK, message="x", threshold=threshold, rows=rows)


def every_kind() -> list[charts.Chart]:
    named: list[Row] = [
        {"name": f"{LONG} {at}"[at:], "count": 123_456_789.0 * at, "percent": 25.0 * at}
        for at in range(5)
    ]
    many: list[Row] = [{"name": f"WWW {at}", "count": at, "percent": at} for at in range(90)]
    samples: list[Row] = [{"count": 0.00012 * at} for at in range(2)]
    large: list[Row] = [{"count": 123_456_789.0 + at} for at in range(5)]
    series: list[Row] = [
        {"at": f"2026-11-{at + 1:02}T00:00:00+00:00", **{f"{LONG} {part}": part for part in "1234"}}
        for at in range(20)
    ]
    for row in series:
        row.update({name: float(str(row[name])) for name in row if name != "at"})
    errors: list[Row] = [{"at": row["at"], "errors": 7 * at % 23} for at, row in enumerate(series)]
    events: list[Row] = [{"at": row["at"], "event": LONG} for row in series[3:5]]
    guess: list[Row] = [{"at": row["at"], "measured": 3.0} for row in series[:9]]
    guess += [{"at": row["at"], "expected": 9.0, "least": 5, "most": 15} for row in series[8:]]
    return [
        charts.bars(finding("long", named, 3e8, 3.1e8), by="name", parts=["count", "percent"]),
        charts.bars(finding("far", named, 9e8, 9.1e8), by="name", parts=["count"]),
        charts.bars(finding("many", many), by="name", parts=["count", "percent"]),
        charts.samples(finding("small", samples, 0.00010, 0.00011), value="count"),
        charts.samples(finding("large", large, 1.5e8, 1.505e8), value="count"),
        charts.levels(finding("percent", named, 97, 99), by="name", percent="percent"),
        charts.levels(finding("low", named, 1, 2), by="name", percent="percent"),
        charts.lines(finding("lines", series, 4.1, 50), over="at"),
        charts.forecast(finding("forecast", guess, 10, 10.1)),
        charts.timeline(finding("events", errors), value="errors", events=finding("", events)),
    ]


def test_every_word_is_within_its_chart_and_covers_no_other() -> None:
    html = charts.grid_html(every_kind())
    with chromium() as browser:
        for width in (390, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.set_content(f"<!doctype html><body>{html}")
            assert page.evaluate(OUTSIDE) == []
            assert page.evaluate(COVERED) == []
            assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_chart_is_small_and_the_same_each_time() -> None:
    drawn, again = every_kind(), every_kind()
    assert [chart.svg for chart in drawn] == [chart.svg for chart in again]
    for chart in drawn:
        assert not re.search(r"<(metadata|style)|font-family", chart.svg)
        assert compacted(chart.svg) == chart.svg


def points(svg: str) -> list[tuple[float, float]]:
    paths = [path.get("d") or "" for path in ET.fromstring(svg).iter() if path.tag.endswith("path")]
    longest = max(paths, key=len)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", longest)]


def test_a_long_line_has_no_more_points_than_can_be_seen_and_keeps_its_peak_and_gaps() -> None:
    rows: list[Row] = [{"at": at, "value": 50 + 9 * math.sin(at * 1.7)} for at in range(20_000)]
    rows[7_777]["value"] = 1_000
    smooth = points(charts.lines(finding("x", rows), over="at").svg)
    assert len(smooth) <= 4 * WIDTH
    assert min(y for _, y in smooth) < min(y for x, y in smooth if x < WIDTH / 4) - 50
    whole = charts.lines(finding("x", rows), over="at").svg
    rows[9_000]["value"] = None
    broken = charts.lines(finding("x", rows), over="at").svg
    assert broken.count("M") == whole.count("M") + 1


def test_no_two_labels_of_limits_start_at_one_place() -> None:
    for chart in every_kind():
        labels = [
            (text.get("x"), text.get("y"), text.get("transform"))
            for text in ET.fromstring(chart.svg).iter()
            if (text.text or "").startswith(("warn ", "crit "))
            and "beyond" not in (text.text or "")
        ]
        assert all(one != two for one, two in combinations(labels, 2))
