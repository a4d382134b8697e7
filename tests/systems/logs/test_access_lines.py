"""Requests by the access log: the formats that are met, and what is measured of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Status
from opsnb.systems import logs
from opsnb.systems.api.settings import Api
from opsnb.systems.logs.access_lines import Request, request_in
from opsnb.systems.logs.lines import parse
from opsnb.systems.logs.settings import Logs
from opsnb.systems.logs.stamps import Clock

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
    f'::1 - - {AT} "GET /a HTTP/1.1" 200 0 "-" "x" rt=0.250 urt="0.249"': (
        Request("GET", "/a", 200, 250.0)
    ),
    f'::1 - - {AT} "GET /b HTTP/1.1" 200 0 "-" "x" urt="0.249"': Request("GET", "/b", 200, None),
    "2026-11-24T14:00:00.000Z GET /health 200 3.2 ms": Request("GET", "/health", 200, 3.2),
    "2026-11-24T14:00:00Z INFO app DELETE /a/b 404 12 ms - 17": (
        Request("DELETE", "/a/b", 404, 12.0)
    ),
    '{"time":1795528800000,"level":30,"req":{"method":"GET","url":"/p"},"res":{"statusCode":500},'
    '"responseTime":41,"msg":"request errored"}': Request("GET", "/p", 500, 41.0),
    '{"time":"2026-11-24T14:00:00+00:00","method":"GET","uri":"/api/x","status":500,'
    '"request_time":0.25}': Request("GET", "/api/x", 500, 250.0),
    '{"time":"2026-11-24T14:00:00Z","method":"GET","uri":"/n","status":"200",'
    '"request_time":"0.500"}': Request("GET", "/n", 200, 500.0),
    # nginx with a name of its own for the line of the request
    '{"time":"2026-11-24T14:00:00+00:00","request":"GET /s HTTP/1.1","status":"499",'
    '"request_time":"1.000"}': Request("GET", "/s", 499, 1000.0),
    # Apache and nginx: vhost_combined, and a caller behind IPv6
    f'shop.example:443 2001:db8::7 - - {AT} "GET /v HTTP/1.1" 200 5 "-" "curl"': (
        Request("GET", "/v", 200, None)
    ),
    # Caddy
    '{"level":"info","ts":1795528800.0,"logger":"http.log.access","msg":"handled request",'
    '"request":{"remote_ip":"::1","method":"GET","host":"x","uri":"/c?a=1"},"duration":0.25,'
    '"size":5,"status":500}': Request("GET", "/c?a=1", 500, 250.0),
    # Traefik, in its common log format and in JSON
    f'10.0.0.7 - - {AT} "GET /t HTTP/1.1" 200 2 "-" "-" 1 "web@docker" "http://10.0.0.2:80" 12ms': (
        Request("GET", "/t", 200, 12.0)
    ),
    '{"time":"2026-11-24T14:00:00Z","RequestMethod":"GET","RequestPath":"/j","OriginStatus":200,'
    '"DownstreamStatus":502,"Duration":3000000}': Request("GET", "/j", 502, 3.0),
    # AWS: an application load balancer, and a classic one
    "h2 2026-11-24T14:00:00.000000Z app/lb/50dc 192.0.2.39:2817 10.0.0.1:80 0.001 0.048 0.001 200 "
    '200 34 366 "GET https://www.example.com:443/a?x=1 HTTP/2.0" "curl/7.46.0" - -': (
        Request("GET", "/a", 200, 50.0)
    ),
    "2026-11-24T14:00:00.000000Z lb 192.0.2.39:2817 - -1 -1 -1 503 0 0 0 "
    '"GET http://www.example.com:80/e HTTP/1.1" "curl" - -': Request("GET", "/e", 503, None),
    # the Elastic Common Schema
    '{"@timestamp":"2026-11-24T14:00:00.000Z","http":{"request":{"method":"GET"},"response":'
    '{"status_code":200}},"url":{"path":"/ecs"},"event":{"duration":1500000}}': (
        Request("GET", "/ecs", 200, 1.5)
    ),
    # a length whose unit is not said is none
    '{"time":"2026-11-24T14:00:00Z","method":"GET","url":"/u","status":200,"response_time":12}': (
        Request("GET", "/u", 200, None)
    ),
    '{"time":"2026-11-24T14:00:00Z","method":"GET","url":"/u","status":200,"latency":"1.5s"}': (
        Request("GET", "/u", 200, 1500.0)
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_request_is_read_from_each_format(line: str) -> None:
    head = parse(line, CLOCK)
    assert head is not None
    assert head.at == pytest.approx(NOW.timestamp() - 30)
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


@pytest.mark.parametrize("took", ['"fast"', "NaN", "Infinity", "-1", "[]", "null", '"-"'])
def test_what_is_no_length_of_time_is_none(took: str) -> None:
    line = f'{{"time":1795528800000,"method":"GET","url":"/p","status":200,"responseTime":{took}}}'
    head = parse(line, CLOCK)
    assert head is not None
    assert request_in(head) == Request("GET", "/p", 200, None)


@pytest.mark.parametrize("status", ["NaN", "Infinity", '"fine"', "null", "[]"])
def test_what_has_no_status_is_no_request(status: str) -> None:
    head = parse(f'{{"time":1795528800000,"method":"GET","url":"/p","status":{status}}}', CLOCK)
    assert head is not None
    assert request_in(head) is None


@pytest.mark.parametrize("stamp", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_a_number_without_end_is_no_stamp(stamp: str) -> None:
    assert parse(f'{{"time":{stamp},"method":"GET","url":"/p","status":200}}', CLOCK) is None


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


UNKNOWN_FORMATS = {
    "json, other names": '{{"time":"{iso}","did":"GET","what":"/api/x","result":"500"}}',
    "w3c": "{day} {clock} 10.0.0.1 GET /api/x - 443 - 10.0.0.7 curl 500 0 0 250",
    "no method": "{iso} /api/x answered 500",
}


def lines_of(form: str, count: int = 20) -> str:
    now = datetime.now().astimezone()
    line = form.format(iso=now.isoformat(), day=f"{now:%Y-%m-%d}", clock=f"{now:%H:%M:%S}")
    return f"{line}\n" * count


@pytest.mark.parametrize("form", UNKNOWN_FORMATS)
def test_a_format_that_is_not_understood_is_not_a_quiet_service(tmp_path: Path, form: str) -> None:
    path = tmp_path / "access.log"
    path.write_text(lines_of(UNKNOWN_FORMATS[form]))
    target = Target(name="own", access_logs=(str(path),))
    for check in (logs.error_rate, logs.requests):
        with pytest.raises(
            BadAnswer, match=r"understood.*: .* combined format.* method, url or uri"
        ) as told:
            check(target, 15)
        assert len(str(told.value)) < 500
    found = Measurement(target).run([logs.error_rate, logs.requests])
    assert [finding.status for finding in found] == [Status.UNKNOWN] * 2


def test_a_format_that_was_changed_lately_is_not_a_quiet_service(tmp_path: Path) -> None:
    target = written(tmp_path / "access.log", (60.0, 200, 1.0))
    with (tmp_path / "access.log").open("a") as file:
        file.write(lines_of(UNKNOWN_FORMATS["json, other names"]))
    with pytest.raises(BadAnswer, match="result"):
        logs.error_rate(target, 15)


def test_a_share_that_is_not_understood_is_told(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    target = written(path, *((1.0, 200, 1.0) for _ in range(20)))
    with path.open("a") as file:
        file.write(lines_of(UNKNOWN_FORMATS["w3c"]))
    (found,) = Measurement(target).run([logs.error_rate])
    assert (found.status, found.value) == (Status.UNKNOWN, 0)
    assert "20 lines of" in found.message


def test_a_missing_access_log_does_not_hide_the_others(tmp_path: Path) -> None:
    target = written(tmp_path / "access.log", (1.0, 500, 1.0))
    both = target.changed(access_logs=(*Logs.of(target).access, str(tmp_path / "other.log")))
    (found,) = Measurement(both).run([logs.error_rate])
    assert (found.value, found.evidence.coverage) == (100.0, "partial")
    assert "other.log" in found.message


def test_other_lines_hide_no_requests(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    target = written(path, (60.0, 200, 1.0))
    now = datetime.now(UTC)
    with path.open("a") as file:
        file.write(f"{now.isoformat()} INFO the cache was warmed\n")
    assert logs.error_rate(target, 15).status is Status.OK
    # A caller that speaks no HTTP is one line of a format that is understood.
    path.write_text(f'10.0.0.7 - - [{now:%d/%b/%Y:%H:%M:%S +0000}] "\\x16\\x03" 400 0\n')
    assert logs.error_rate(target, 15).status is Status.OK


def test_the_demo_notes_what_it_is_asked(demo: Target) -> None:
    for number in range(40):
        path = f"/api/projects/none-{number}" if number % 2 else "/health"
        httpx.get(Api.of(demo).url + path, trust_env=False)
    found = logs.requests(demo, 5)
    assert found.value is not None
    routes = {row["route"]: row["requests"] for row in found.rows}
    assert routes["GET /health"] >= 20
