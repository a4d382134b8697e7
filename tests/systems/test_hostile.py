"""Systems that misbehave cost their time limit and no more, and give nothing away."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.model import Status
from opsnb.systems import api, cache, database, queues

Answer = Callable[[BaseHTTPRequestHandler], None]


def serve(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def body(status: int, text: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text.encode())

    return answer


def endless(pause_s: float, size: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            request.wfile.write(b"x" * size)
            time.sleep(pause_s)

    return answer


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (body(500, "out of order"), Status.CRIT, "answered 500 instead of 200: out of order"),
        (body(302, ""), Status.CRIT, "answered 302"),
        (body(200, "<html>not json</html>"), Status.OK, "answered 200"),
        (body(200, "[" * 100_000), Status.OK, "answered 200"),
        (endless(0.2, 1), Status.CRIT, "was not answered whole in 1 s"),
        (endless(0, 65536), Status.UNKNOWN, "answers more than"),
    ],
)
def test_an_odd_api_is_judged_and_bounded(answer: Answer, status: Status, said: str) -> None:
    for url in serve(answer):
        (finding,) = Measurement(Target(name="odd", time_limit_s=1).changed(api_url=url)).run(
            [api.health]
        )
        assert finding.status is status
        assert said in finding.message


@pytest.mark.parametrize("text", ["{}", "[]", '[{"name": {}}]', '{"queues": 3}', '{"a": {}}'])
def test_queue_stats_without_queues_are_no_success(text: str) -> None:
    for url in serve(body(200, text)):
        target = Target(name="odd").changed(api_url=url, queues=("ai-analysis",))
        (finding,) = Measurement(target).run([api.queue_stats])
        assert finding.status in (Status.CRIT, Status.UNKNOWN)


def test_hanging_systems_cost_one_time_limit_together() -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=50)) as listener:
        port = listener.getsockname()[1]  # accepts, and never answers
        target = Target(name="hung", time_limit_s=1).changed(
            api_url=f"http://127.0.0.1:{port}",
            redis_url=f"redis://127.0.0.1:{port}",
            database_url=f"postgresql://u:s3cret-word@127.0.0.1:{port}/x",
        )
        checks = (api.health, api.queue_stats, queues.depth, cache.ping, database.ping)
        found = Measurement(target).run(checks)
    statuses = {finding.name: finding.status for finding in found}
    assert statuses == {
        "api.health": Status.CRIT,
        "api.queue_stats": Status.SKIPPED,
        "queues.depth": Status.SKIPPED,
        "cache.ping": Status.CRIT,
        "database.ping": Status.CRIT,
    }
    assert "s3cret-word" not in json.dumps([finding.model_dump(mode="json") for finding in found])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"redis_url": "redis://:wrong-password@"}, "refuses the login"),
        ({"database_url": "postgresql://opsnb:wrong-password@"}, "authentication failed"),
    ],
)
def test_a_wrong_password_is_told_and_not_shown(
    demo: Target, change: dict[str, str], said: str
) -> None:
    (key, head), *_ = change.items()
    wrong = head + demo.given(key).rpartition("@")[2]
    (finding,) = Measurement(demo.changed(**{key: wrong})).run(
        [cache.ping if key == "redis_url" else database.ping]
    )
    assert finding.status is Status.UNKNOWN
    assert said in finding.message
    assert "wrong-password" not in finding.model_dump_json()
    assert ".." not in finding.message
