"""One verdict on the health check, whatever a service answers; latency of answers alone."""

from __future__ import annotations

import gzip
import http.server
import json
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, NotConfigured, ServiceError
from opsnb.handbook.incidents import service_down
from opsnb.model import Status
from opsnb.systems import api, cache
from opsnb.systems.api.settings import Api
from opsnb.systems.api.verdict import judge

TABLE = "[targets.t.api]"


def response(code: int, body: Any = None, **headers: str) -> httpx.Response:
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    request = httpx.Request("GET", "http://api.test/health")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(code, headers=named, content=content, request=request)


WELL: list[Any] = [
    None,
    b"OK",
    b"ok\n",
    b"Healthy",
    b"pong",
    b'"up"',
    b"true",
    b'\xef\xbb\xbf{"status":"ok"}',
    [],
    {},
    {"status": "pass", "version": "1", "checks": {"redis:ping": [{"status": "pass"}]}},
    {"status": "UP", "components": {"db": {"status": "UP"}, "ping": {"status": "UP"}}},
    {"status": "ok", "info": {"redis": {"status": "up"}}, "error": {}, "details": {}},
    {"health": "green"},
    {"status": 200, "message": "all is well"},
    {"healthy": True, "uptime_s": 12.5, "maintenance": False},
    {"status": {"code": "ok"}, "lastError": "timeout after 3 s, long ago"},
    {"version": "1.2.3", "commit": "0ff1ce"},
    {"status": "ok", "checks": {"worker": True, "lag": 0}},
    {"status": "ok", "debug": "false", "environment": "live"},
    {"status": "ok", "details": {"maintenance": False, "readOnly": False}},
    {"status": "ok", "services": {"redis": {"status": "up", "tls": False}}},
    {"status": "ok", "error": None, "errors": [], "failures": {}},
    {"status": "ok", "error": "none", "queue": "0 failed", "message": "down to earth"},
    b"0 checks failed",
    {"checkResults": [{"name": "db", "status": "ok"}, {"name": "env", "status": "skipped"}]},
    b"[+]ping ok\nhealthz check passed",
    b"default: PASSED it runs\ndatabase: PASSED",
    b"<health><status>UP</status></health>",
    b"# HELP up it is up\nup 0",
]


@pytest.mark.parametrize("body", WELL, ids=str)
def test_what_is_well(body: Any) -> None:
    for code in (200, 201, 204):
        found = judge(response(code, body), "/health", TABLE)
        assert (found.status, found.is_answer) == (Status.OK, True)
        assert found.message == f"GET /health answered {code}."


NOT_WELL: list[tuple[Any, Status, str]] = [
    (
        {"status": "degraded", "checks": {"database": "up", "redis": "down"}},
        Status.CRIT,
        "reports degraded (redis down).",
    ),
    (
        {"status": "fail", "output": "cannot write to the queue"},
        Status.CRIT,
        "reports fail (cannot write to the queue).",
    ),
    (
        {"healthy": False, "message": "scheduler does not run"},
        Status.CRIT,
        "reports healthy false (scheduler does not run).",
    ),
    ({"ok": False}, Status.CRIT, "reports ok false."),
    ({"status": "DOWN", "components": {"db": {"status": "DOWN"}}}, Status.CRIT, "DOWN (db DOWN)"),
    (
        {"status": "DOWN", "details": {"rabbit": {"status": "OUT_OF_SERVICE"}}},
        Status.CRIT,
        "reports DOWN (rabbit OUT_OF_SERVICE).",
    ),
    (
        {"status": "warn", "checks": {"disk:used": [{"status": "warn", "observedValue": 91}]}},
        Status.WARN,
        "reports warn (disk:used warn).",
    ),
    (
        {"status": "warn", "notes": ["it ends soon"]},
        Status.WARN,
        "(it ends soon)",
    ),
    ({"status": "ok", "checks": {"redis": "down"}}, Status.WARN, "reports ok, though redis down."),
    ({"checks": {"redis": False, "db": True}}, Status.CRIT, "reports redis down."),
    ({"checks": [{"name": "mail", "healthy": False}]}, Status.CRIT, "reports mail down."),
    ({"database": "down", "redis": "ok"}, Status.CRIT, "reports database down."),
    ({"status": "Not OK"}, Status.CRIT, "reports Not OK."),
    (b"Unhealthy", Status.CRIT, "reports Unhealthy."),
    (b"false", Status.CRIT, "reports false."),
    (b'"degraded"', Status.CRIT, "reports degraded."),
    ({"status": 503, "error": "no database"}, Status.CRIT, "reports 503 (error: no database)."),
    ({"status": "REDIS_DOWN"}, Status.CRIT, "reports REDIS_DOWN."),
    ({"status": "not serving"}, Status.CRIT, "reports not serving."),
    (
        {"status": "Partially Available", "failures": {"rabbit": "its check failed"}},
        Status.WARN,
        "reports Partially Available (rabbit: its check failed).",
    ),
    ({"status": "starting"}, Status.WARN, "reports starting."),
    ({"status": "unknown"}, Status.UNKNOWN, "reports unknown."),
    ({"installed": True, "maintenance": True}, Status.WARN, "reports maintenance on."),
    (
        {"checkResults": [{"name": "db", "status": "crashed"}, {"name": "x", "status": "ok"}]},
        Status.CRIT,
        "reports db crashed.",
    ),
    ([{"name": "db", "status": "down"}], Status.CRIT, "reports db down."),
    ({"jobs": {"mail": {"ok?": False}}}, Status.CRIT, "reports mail down."),
    ({"db": "OK", "redis": "dial tcp: connection refused"}, Status.CRIT, "reports redis: dial tcp"),
    ({"db": "unavailable: no route"}, Status.CRIT, "reports db: unavailable: no route."),
    ({"error": True, "message": "no database"}, Status.CRIT, "reports error true."),
    ({"error": "connect ECONNREFUSED"}, Status.CRIT, "reports error: connect ECONNREFUSED."),
    ({"errors": ["no redis"]}, Status.CRIT, "reports errors: no redis."),
    ({"status": "ok", "error": "no redis"}, Status.WARN, "reports ok, though error: no redis."),
    (b"DB connection failed", Status.CRIT, "reports DB connection failed."),
    (b"SERVER_IS_NOT_READY", Status.CRIT, "reports SERVER_IS_NOT_READY."),
    (b"default: PASSED\ndatabase: FAILED in 1 s", Status.CRIT, "reports database: FAILED in 1 s."),
    (b"[+]ping ok\n[-]etcd failed", Status.CRIT, "reports [-]etcd failed."),
    (b"<health><status>DOWN</status></health>", Status.CRIT, "reports DOWN."),
]


def test_a_word_that_is_not_known_is_shown() -> None:
    found = judge(response(200, {"status": "leader"}), "/health", TABLE)
    assert (found.status, found.message) == (
        Status.OK,
        "GET /health answered 200 and reports leader.",
    )


@pytest.mark.parametrize(("body", "status", "words"), NOT_WELL, ids=str)
def test_what_is_not_well_is_said_in_its_own_words(body: Any, status: Status, words: str) -> None:
    found = judge(response(200, body), "/health", TABLE)
    assert found.status is status
    assert found.message.startswith("GET /health answered 200 but ")
    assert words in found.message
    assert found.is_answer


OTHERS: list[tuple[httpx.Response, Status, str]] = [
    (
        response(301, location="https://api.test/health"),
        Status.CRIT,
        "to https://api.test/health;",
    ),
    (
        response(302, location="/login"),
        Status.CRIT,
        "redirects to http://api.test/login; set",
    ),
    (
        response(301, location="http://api.test/health/"),
        Status.CRIT,
        'set health = "/health/" in [targets.t.api].',
    ),
    (response(200, {"status": "ok"}, age="45"), Status.UNKNOWN, "out of a cache, 45 s old"),
    (response(304), Status.CRIT, "answered 304 instead of 200."),
    (response(401), Status.UNKNOWN, "set headers = { Authorization"),
    (response(403, b"<html>no"), Status.UNKNOWN, "asks for a login"),
    (response(404, b"<html>nginx"), Status.UNKNOWN, "no such path; set health in [targets.t.api]"),
    (
        response(429, retry_after="30"),
        Status.UNKNOWN,
        "too often. It asks to try again after 30",
    ),
    (response(418, b"tea"), Status.UNKNOWN, "answered 418 instead of 200: tea"),
    (response(500), Status.CRIT, "answered 500 instead of 200: (empty)"),
    (response(502, b"<html>Bad Gateway"), Status.CRIT, "answered 502 instead of 200"),
    (
        response(
            503,
            {"status": "error", "error": {"redis": {"status": "down"}}, "details": {}},
            retry_after="5",
        ),
        Status.CRIT,
        "answered 503: it reports error (redis down). It asks to try again after 5 s.",
    ),
    (
        response(200, b"<!DOCTYPE html><title>Sign in", content_type="text/html; charset=utf-8"),
        Status.UNKNOWN,
        "a web page, such as a login",
    ),
]


@pytest.mark.parametrize(("answer", "status", "words"), OTHERS, ids=lambda value: str(value)[:40])
def test_what_is_no_answer_of_the_service(
    answer: httpx.Response, status: Status, words: str
) -> None:
    found = judge(answer, "/health", TABLE)
    assert found.status is status
    assert words in found.message
    assert not found.is_answer


def test_a_body_that_means_harm_is_only_text() -> None:
    deep = b'{"checks":' * 100_000 + b"1" + b"}" * 100_000
    assert judge(response(200, deep), "/health", TABLE).status is Status.OK
    wide = {"checks": {f"part {number}": "down" for number in range(50_000)}}
    found = judge(response(200, wide), "/health", TABLE)
    assert found.status is Status.CRIT
    assert len(found.message) < 200


# --- over the wire


@dataclass
class Answers:
    """What the server answers, by path; what it was asked with."""

    by_path: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


Serving = Callable[..., tuple[Target, Answers]]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """A function that starts an API with these answers, and returns its target."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(
        tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", **paths: tuple[int, Any]
    ) -> tuple[Target, Answers]:
        answers = Answers({})
        for name, (code, body) in paths.items():
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answers.by_path["/" + name.replace("_", "/")] = (code, {}, content)

        class Api(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                answers.asked.append((self.path, dict(self.headers)))
                code, headers, body = answers.by_path.get(self.path, (404, {}, b"{}"))
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass

        server = Server((host, 0), Api)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scheme = "https" if tls else "http"
        url = f"{scheme}://{host}:{server.server_address[1]}"
        return Target(name="t").changed(api_url=url), answers

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_every_runbook_has_the_same_verdict(serving: Serving) -> None:
    target, _ = serving(health=(200, {"status": "degraded", "checks": {"mail": "down"}}))
    for found in (api.health(target), service_down.service(target)):
        assert found.status is Status.CRIT
        assert found.message == "GET /health answered 200 but reports degraded (mail down)."
    with pytest.raises(BadAnswer, match="reports degraded"):
        api.wait_until_well(target, 0.1)
    assert api.latency(target, 3).status is Status.OK  # it answers


def test_what_is_down_already_is_no_second_alarm(serving: Serving) -> None:
    target, answers = serving(health=(200, {"status": "degraded", "checks": {"redis": "down"}}))
    target = target.changed(redis_url="redis://127.0.0.1:9")
    found = Measurement(target).run([api.health, cache.ping])
    assert [finding.status for finding in found] == [Status.SKIPPED, Status.CRIT]
    assert found["api.health"].caused_by == "cache.ping"
    assert "reports degraded (redis down). See cache.ping." in found["api.health"].message
    body = {"status": "degraded", "checks": {"redis": "down", "mail": "down"}}
    answers.by_path["/health"] = (200, {}, json.dumps(body).encode())
    found = Measurement(target).run([api.health, cache.ping])
    assert [finding.status for finding in found] == [Status.CRIT, Status.CRIT]
    unnamed = Measurement(target.changed(redis_url="")).run([api.health, cache.ping])
    assert unnamed["api.health"].status is Status.CRIT


@pytest.mark.parametrize("code", [301, 401, 403, 404, 429, 500, 503])
def test_latency_is_measured_on_answers_alone(serving: Serving, code: int) -> None:
    target, _ = serving(health=(code, {}))
    for check in (api.latency.given(3), api.p95.given(3)):
        (finding,) = Measurement(target).run([check])
        assert finding.status is Status.UNKNOWN
        assert f"GET /health answered {code}" in finding.message


def test_paths_and_headers_are_the_services_own(serving: Serving) -> None:
    target, answers = serving(
        internal_live=(204, b""), internal_queues=(200, [{"name": "mail", "waiting": 0}])
    )
    own = target.changed(
        api={
            "url": f"{Api.of(target).url}/internal/",
            "health": "/live",
            "queue_stats": "/queues",
            "headers": {"Authorization": "Bearer word", "Accept-Encoding": "br"},
        }
    )
    assert api.health(own).status is Status.OK
    assert api.queue_stats(own).status is Status.OK
    assert api.queue_names(own) == ["mail"]
    assert {path for path, _ in answers.asked} == {"/internal/live", "/internal/queues"}
    assert all(headers["Authorization"] == "Bearer word" for _, headers in answers.asked)
    assert "/live" in api.latency(own, 2).message


def test_what_the_service_does_not_have_is_skipped(serving: Serving) -> None:
    target, answers = serving()
    bare = target.changed(api={"url": Api.of(target).url, "health": "", "queue_stats": ""})
    checks = (api.health, api.latency.given(2), api.p95.given(2), api.queue_stats)
    found = Measurement(bare).run(checks)
    assert {finding.status for finding in found} == {Status.SKIPPED}
    assert "[targets.t.api] has no health" in found[0].message
    assert not answers.asked
    with pytest.raises(NotConfigured, match="no queue_stats"):
        api.queue_names(bare)
    assert "API answers" in api.wait_until_well(bare, 0.1)


def test_an_api_without_queue_stats_is_no_alarm(serving: Serving) -> None:
    target, answers = serving(health=(200, {"status": "ok"}))
    for code, status, words in (
        (404, Status.UNKNOWN, 'set queue_stats = ""'),
        (401, Status.UNKNOWN, "set headers"),
        (500, Status.CRIT, "answered 500"),
    ):
        answers.by_path["/api/queue/stats"] = (code, {}, b"")
        finding = api.queue_stats(target)
        assert finding.status is status
        assert words in finding.message


def test_an_ipv6_address(serving: Serving) -> None:
    target, _ = serving(health=(200, b"OK"))
    port = Api.of(target).url.rpartition(":")[2]
    six = target.changed(api_url=f"http://[::ffff:127.0.0.1]:{port}")
    assert api.health(six).status is Status.OK


def test_answers_that_never_end_or_lie_are_bounded(serving: Serving) -> None:
    target, answers = serving()
    answers.by_path["/health"] = (200, {"Content-Length": "999"}, b"short")
    quick = target.model_copy(update={"time_limit_s": 0.5})
    with pytest.raises(ServiceError, match=r"answer|respond"):
        api.health(quick)
    answers.by_path["/health"] = (200, {}, b"x" * (5 * 1024 * 1024))
    with pytest.raises(BadAnswer, match="more than"):
        api.health(target)
    bomb = gzip.compress(b"\0" * (200 * 1024 * 1024), 1)
    answers.by_path["/health"] = (200, {"Content-Encoding": "gzip"}, bomb)
    began = time.monotonic()
    with pytest.raises(BadAnswer, match="more than"):
        api.health(target)
    assert time.monotonic() - began < 20


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority of one's own, and a certificate for localhost that it signed."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for command in (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Test -keyout ca.key -out "
        "ca.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign",
        "openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key "
        "-out server.csr",
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile ext -out server.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def test_an_authority_of_the_companys_own(
    serving: Serving, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    target, _ = serving(tls=tls, health=(200, b"OK"))
    authority = certificates / "ca.pem"

    def own(**keys: Any) -> Target:
        return target.changed(api={"url": Api.of(target).url, **keys})

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(Misconfigured) as raised:  # Node's own settings may well name it
        api.health(target)
    assert 'ca = "/path/ca.pem" in [targets.t.api], or set SSL_CERT_FILE' in str(raised.value)
    for found in Measurement(target).run([api.health.given(), service_down.silent.given()]):
        assert (found.status, found.remedies) == (Status.UNKNOWN, []), found
    assert api.health(own(ca=str(authority))).status is Status.OK
    assert api.health(own(verify=False)).status is Status.OK
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        api.health(own(ca="/nowhere/ca.pem"))
    (certificates / "none.pem").write_text("nothing")
    with pytest.raises(Misconfigured, match="cannot be read"):
        api.health(own(ca=str(certificates / "none.pem")))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert api.health(target).status is Status.OK
    plain, _ = serving(health=(200, b"OK"))
    # The wrong scheme is no outage, so nothing is restarted for it.
    with pytest.raises(Misconfigured, match="does not speak TLS"):
        api.health(plain.changed(api_url=Api.of(plain).url.replace("http:", "https:")))
    with pytest.raises(Misconfigured, match="speaks TLS there; write https://"):
        api.health(target.changed(api_url=Api.of(target).url.replace("https:", "http:")))


def signed(certificates: Path, names: str, ends: str) -> ssl.SSLContext:
    """Return what serves with a certificate for `names` by the test's authority, until `ends`."""
    with tempfile.TemporaryDirectory(dir=certificates) as at:
        folder = Path(at)
        (folder / "index").touch()
        (folder / "ext").write_text(f"subjectAltName={names}\n")
        (folder / "settings").write_text(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nserial = serial\n"
            "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"
        )
        command = (
            "openssl ca -batch -config settings -create_serial -notext -extfile ext "
            f"-startdate 20200101000000Z -enddate {ends} -cert ../ca.pem -keyfile ../ca.key "
            "-in ../server.csr -out signed.pem"
        )
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "signed.pem", certificates / "server.key")
        return tls


def test_a_certificate_of_another_name_is_not_the_services_fault(
    serving: Serving, certificates: Path
) -> None:
    target, _ = serving(tls=signed(certificates, "DNS:other.test", "20990101000000Z"))
    other = target.changed(api={"url": Api.of(target).url, "ca": str(certificates / "ca.pem")})
    for found in Measurement(other).run([api.health.given(), service_down.silent.given()]):
        assert found.status is Status.UNKNOWN, found
        assert "write a name of its certificate in url of [targets.t.api]" in found.message


def test_a_certificate_that_has_run_out_is_an_outage(serving: Serving, certificates: Path) -> None:
    target, _ = serving(tls=signed(certificates, "IP:127.0.0.1", "20200201000000Z"))
    late = target.changed(api={"url": Api.of(target).url, "ca": str(certificates / "ca.pem")})
    for found in Measurement(late).run([api.health.given(), service_down.silent.given()]):
        assert found.status is Status.CRIT, found
        assert "certificate has expired" in found.message
        assert not any(remedy.apply for remedy in found.remedies)  # a restart changes nothing
