"""Requests by the access log: the formats that are met, and what is measured of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from opsnb.errors import NotConfigured
from opsnb.model import Status
from opsnb.systems import logs
from opsnb.systems.logs.access import Request, request_in
from opsnb.systems.logs.lines import Clock, parse
from opsnb.target import Target

NOW = datetime(2026, 11, 24, 14, 0, 30, tzinfo=UTC)
CLOCK = Clock(NOW.timestamp(), UTC)

AT = "[24/Nov/2026:14:00:00 +0000]"
LINES = {
    f'10.0.0.7 - ann {AT} "GET /api/projects/7?x=1 HTTP/1.1" 200 512': (
        Request("GET", "/api/projects/7?x=1", 200, None)
    ),
    '10.0.0.7 - - [24/Nov/2026:15:00:00 +0100] "POST /api HTTP/2.0" 502 0 "-" "curl" 0.512': (
        Request("POST", "/api", 502, 512.0)
    ),
    f'::1 - - {AT} "GET / HTTP/1.1" 304 0 "-" "x" rt=1.250': Request("GET", "/", 304, 1250.0),
    "2026-11-24T14:00:00.000Z GET /health 200 3.2 ms": Request("GET", "/health", 200, 3.2),
    "2026-11-24T14:00:00Z INFO app DELETE /a/b 404 12 ms - 17": (
        Request("DELETE", "/a/b", 404, 12.0)
    ),
    '{"time":1795528800000,"level":30,"req":{"method":"GET","url":"/p"},"res":{"statusCode":500},'
    '"responseTime":41,"msg":"request errored"}': Request("GET", "/p", 500, 41.0),
}


@pytest.mark.parametrize("line", LINES)
def test_a_request_is_read_from_each_format(line: str) -> None:
    head = parse(line, CLOCK)
    assert head is not None
    assert head.at == NOW.timestamp() - 30
    assert request_in(head) == LINES[line]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-24T14:00:00Z INFO app started",
        "2026-11-24T14:00:00Z GET rid of 200 files",
        '{"time":1795528800000,"msg":"no request"}',
        '{"time":1795528800000,"req":"x","res":[]}',
        '10.0.0.7 - - [24/Nov/2026:14:00:00 +0000] "\\x16\\x03" 400 0',
    ],
)
def test_another_line_is_no_request(line: str) -> None:
    head = parse(line, CLOCK)
    assert head is None or request_in(head) is None


@pytest.mark.parametrize("stamp", ["31/Feb/2026:14:00:00", "24/Foo/2026:14:00:00"])
def test_a_day_that_is_not_there_is_no_stamp(stamp: str) -> None:
    assert parse(f'h - - [{stamp} +0000] "GET / HTTP/1.1" 200 1', CLOCK) is None


def written(path: Path, *requests: tuple[float, int, float]) -> Target:
    """Return a target whose access log has these: minutes ago, status, ms."""
    now = datetime.now(UTC)
    path.write_text(
        "".join(
            f"{(now - timedelta(minutes=ago)).isoformat()} GET /api/{n} {status} {ms} ms\n"
            for n, (ago, status, ms) in enumerate(requests)
        )
    )
    return Target(name="own", access_logs=(str(path),))


def test_percentiles_and_errors_are_of_the_window_alone(tmp_path: Path) -> None:
    old = [(20.0, 500, 9000.0)] * 50
    new = [(1.0, 200, float(ms)) for ms in range(1, 101)]
    failed = [(0.5, 503, 50.0)] * 4
    target = written(tmp_path / "access.log", *old, *new, *failed)
    times = logs.requests(target, 15)
    assert "p50 50 ms" in times.message
    assert times.value == pytest.approx(95, abs=1)
    assert times.rows[0]["route"] == "GET /api/#"
    rate = logs.error_rate(target, 15)
    assert rate.value == pytest.approx(100 * 4 / 104, abs=0.01)
    assert rate.status is Status.WARN
    assert logs.error_rate(target, 30).status is Status.CRIT


def test_nobody_asked(tmp_path: Path) -> None:
    target = written(tmp_path / "access.log", (60.0, 500, 1.0))
    assert logs.error_rate(target, 15).status is Status.OK
    assert "no request" in logs.requests(target, 15).message
    with pytest.raises(NotConfigured, match="access_logs"):
        logs.requests(Target(name="own"))


def test_the_demo_notes_what_it_is_asked(demo: Target) -> None:
    for number in range(40):
        path = f"/api/projects/none-{number}" if number % 2 else "/health"
        httpx.get(demo.api_url + path, trust_env=False)
    found = logs.requests(demo, 5)
    assert found.value is not None
    routes = {row["route"]: row["requests"] for row in found.rows}
    assert routes["GET /health"] >= 20
