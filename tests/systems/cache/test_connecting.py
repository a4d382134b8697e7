"""Reaching Redis in every way that a URL names, and what else may answer there."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.demo.home import free_port
from opsnb.errors import Misconfigured, ServiceError, Unreachable
from opsnb.model import Status
from opsnb.systems import cache, dependencies, queues
from opsnb.systems.cache.settings import Cache
from opsnb.systems.queues.connection import reading
from opsnb.systems.queues.settings import Queues, shares_redis
from tests.systems import redis_server
from tests.systems.redis_server import BINARIES, Server

REDIS = shutil.which("redis-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = redis_server.start(tmp_path / "server")
    try:
        yield server
    finally:
        server.kill()


def target_at(url: str) -> Target:
    return Target(name="shelf").changed(redis_url=url)


def said_by_both(target: Target) -> list[str]:
    """Return what a check of the cache and one of the queues say, with their statuses."""
    found = Measurement(target).run([cache.ping.given(), cache.memory.given()])
    depth = Measurement(target).run([queues.depth.given()])
    return [f"{finding.status} {finding.message}" for finding in (*found, depth[0])]


# --- servers that are no Redis, or gone wrong


Answering = Callable[[Callable[[socket.socket], None]], Target]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A function that starts a server of one's own, and returns the target that names it."""
    listeners: list[socket.socket] = []

    def start(serve: Callable[[socket.socket], None]) -> Target:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(client,), daemon=True).start()

        def one(client: socket.socket) -> None:
            try:
                with client:
                    serve(client)
            except OSError:
                pass  # who asked has gone

        threading.Thread(target=accept, daemon=True).start()
        return target_at(f"redis://127.0.0.1:{listener.getsockname()[1]}")

    yield start
    for listener in listeners:
        listener.close()


def always(answer: bytes, rest: bytes = b"") -> Callable[[socket.socket], None]:
    def serve(client: socket.socket) -> None:
        while client.recv(65536):
            client.sendall(answer)
            while rest:
                client.sendall(rest)

    return serve


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"$x\r\n",
        b":7\r\n",
    ],
)
def test_something_that_is_no_redis_is_named_so(answering: Answering, answer: bytes) -> None:
    target = answering(always(answer))
    ping, memory, depth = said_by_both(target)
    assert ping.startswith("crit Redis at redis://127.0.0.1:")
    assert "is no Redis" in ping
    assert "in redis_url." in ping
    assert memory.startswith("skipped")
    assert "is no Redis" in depth


def test_pong_to_everything_is_no_redis_either(answering: Answering) -> None:
    target = answering(always(b"+PONG\r\n"))
    for check in (cache.memory, cache.keys, cache.hit_rate, cache.slow_log):
        (finding,) = Measurement(target).run([check.given()])
        assert finding.status is Status.UNKNOWN
        assert "The check itself failed" not in finding.message


HUGE = [
    (b"$268435456\r\n", b"x" * 65536),
    (b"$1073741824\r\n", b"x" * 65536),
    (b"*1000000000\r\n", b":1\r\n" * 9000),
    (b"*1\r\n" * 5000, b":1\r\n"),
    (b"*900000\r\n" * 2, b":1\r\n" * 9000),
    (b"*64\r\n", b"$1048576\r\n" + b"x" * 1048576 + b"\r\n"),
    (b"+", b"x" * 65536),
]


@pytest.mark.parametrize(("head", "rest"), HUGE)
def test_an_answer_that_is_too_large_is_refused_before_it_is_read(
    answering: Answering, head: bytes, rest: bytes
) -> None:
    target = answering(always(head, rest))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    ping, memory, depth = said_by_both(target)
    assert time.monotonic() - began < 30
    assert "which is not read" in ping
    assert "cannot be reached" not in ping
    assert ping.startswith("crit")
    assert memory.startswith("skipped")
    assert "does not respond" in memory
    assert "which is not read" in depth
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 200


def test_real_answers_of_many_megabytes_are_read(server: Server) -> None:
    client = server.client()
    for number in range(1000):
        client.set(f"{number}:{'k' * 16_000}", "x")
    client.config_set("slowlog-log-slower-than", 0)
    client.config_set("slowlog-max-len", 5000)
    for number in range(2000):
        client.mget(*[f"{number}-{other}-{'x' * 120}" for other in range(20)])
    with cache.connection(server.target()) as ours:
        found = 0
        cursor = -1
        while cursor:
            cursor, keys = ours.scan(max(cursor, 0), count=1000)
            found += len(keys)
        assert found == 1000
        assert len(ours.slowlog_get(5000)) > 1900
    finding = cache.slow_log(server.target(), limit=5000)
    assert len(finding.rows) > 1900


# --- ways to a server


def test_a_unix_socket(tmp_path: Path) -> None:
    path = Path("/tmp") / f"opsnb-{os.getpid()}.sock"  # a path of a socket must be short
    server = redis_server.start(tmp_path / "unix", "--unixsocket", str(path))
    try:
        server.client(3).set("there", 1)
        target = target_at(f"unix://{path}?db=3")
        with cache.connection(target) as client:
            assert client.get("there") == "1"
        assert cache.ping(target).status is Status.OK
        with reading(target) as session:
            assert session.run(session.client.get("there")) == "1"
    finally:
        server.kill()


@pytest.mark.parametrize("binary", BINARIES)
def test_a_login_with_special_characters(tmp_path: Path, binary: str) -> None:
    server = redis_server.start(tmp_path / "login", binary=binary)
    try:
        server.run("ACL", "SETUSER", "o:ps", "on", ">p@ss/w:o?r#d%", "+@all", "~*")
        server.client(2).set("there", 1)
        target = server.target("o%3Aps:p%40ss%2Fw%3Ao%3Fr%23d%25", db=2)
        with cache.connection(target) as client:
            assert client.get("there") == "1"
            assert client.acl_whoami() == "o:ps"
        with reading(target) as session:
            assert session.run(session.client.get("there")) == "1"
        wrong = server.target("o%3Aps:p%40ss")
        with pytest.raises(Misconfigured, match="refuses the login"):
            cache.ping(wrong)
    finally:
        server.kill()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority of one's own, and a certificate for localhost that it signed."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Test -keyout ca.key -out "
        "ca.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign"
    )
    request = (
        "openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr"
    )
    signing = (
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile ext -out server.pem"
    )
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for command in (authority, request, signing):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def tls_options(folder: Path, port: int) -> list[str]:
    return [
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(folder / "server.pem")),
        *("--tls-key-file", str(folder / "server.key")),
        *("--tls-ca-cert-file", str(folder / "ca.pem")),
    ]


needs_redis = pytest.mark.skipif(REDIS is None, reason="there is no redis-server here")


@needs_redis
def test_tls_with_an_authority_of_ones_own(tmp_path: Path, certificates: Path) -> None:
    assert REDIS
    port = free_port()
    server = redis_server.start(tmp_path / "tls", *tls_options(certificates, port), binary=REDIS)
    try:
        known = target_at(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificates / 'ca.pem'}")
        assert cache.ping(known).status is Status.OK
        with reading(known) as session:
            assert session.run(session.client.ping())
        with pytest.raises(Misconfigured, match=r"not trusted .*ssl_ca_certs="):
            cache.ping(target_at(f"rediss://127.0.0.1:{port}"))
        with pytest.raises(Misconfigured, match="does not exist"):
            cache.ping(target_at(f"rediss://127.0.0.1:{port}?ssl_ca_certs=/nowhere/ca.pem"))
        for broken in ("ca.key", "ext"):
            wrong = f"ssl_ca_certs={certificates / broken}"
            with pytest.raises(Misconfigured, match="cannot be used as ssl_ca_certs"):
                cache.ping(target_at(f"rediss://127.0.0.1:{port}?{wrong}"))
        # The wrong scheme is no outage, so nothing is restarted for it.
        for url, fix in (
            (f"rediss://127.0.0.1:{server.port}", "write redis://"),
            (f"redis://127.0.0.1:{port}", "write rediss://"),
        ):
            with pytest.raises(Misconfigured, match=fix):
                cache.ping(target_at(url))
            found = dependencies.dependency(target_at(url), "redis")
            assert found
            assert (found.state, found.is_away) == ("unknown", False)
    finally:
        server.kill()


@needs_redis
def test_tls_with_client_certificates(tmp_path: Path, certificates: Path) -> None:
    assert REDIS
    port = free_port()
    options = [*tls_options(certificates, port), "--tls-auth-clients", "yes"]
    server = redis_server.start(tmp_path / "tls", *options, binary=REDIS)
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificates / 'ca.pem'}"
    own = f"&ssl_certfile={certificates / 'server.pem'}&ssl_keyfile={certificates}"
    try:
        assert cache.ping(target_at(f"{url}{own}/server.key")).status is Status.OK
        with pytest.raises(Misconfigured, match="KEY_VALUES_MISMATCH"):
            cache.ping(target_at(f"{url}{own}/ca.key"))
        with pytest.raises(ServiceError):
            cache.ping(target_at(url))
    finally:
        server.kill()


def test_urls_of_other_clients_are_taken(server: Server) -> None:
    for url in (
        f"valkey://127.0.0.1:{server.port}/1",
        f"redis://127.0.0.1:{server.port}/1?family=0&maxRetriesPerRequest=null",
        f"redis://127.0.0.1:{server.port}?enableReadyCheck=false&db=1",
    ):
        with cache.connection(target_at(url)) as client:
            assert client.connection_pool.connection_kwargs["db"] == 1
            assert client.ping()
    assert Cache.of(target_at("valkeys://h:1/0")).url == "rediss://h:1/0"
    assert Queues.of(target_at("valkey+sentinel://h/m")).url == "redis+sentinel://h/m"


def test_a_cache_that_evicts_is_no_fault_where_no_queue_lives(server: Server) -> None:
    server.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    target = target_at(f"redis://127.0.0.1:{server.port}")
    assert cache.eviction(target).status is Status.OK
    assert cache.eviction(target.changed(queues=("mail",))).status is Status.WARN
    server.run("HSET", "bull:mail:meta", "version", "bullmq:5.0.0")
    assert cache.eviction(target).status is Status.WARN


def test_a_protected_server_is_no_outage(answering: Answering) -> None:
    def deny(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(b"-DENIED Redis is running in protected mode because ...\r\n")

    with pytest.raises(Misconfigured, match="protected mode"):
        cache.ping(answering(deny))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A Redis with a password, and the Sentinel that watches it as `shop`."""
    server = redis_server.start(tmp_path / "primary")
    server.run("SET", "there", "1")
    server.run("CONFIG", "SET", "requirepass", "s3cret@word")
    sentinel = start_sentinel(tmp_path / "sentinel", server.port, "s3cret@word")
    try:
        yield server, sentinel
    finally:
        sentinel.kill()
        server.kill()


def start_sentinel(folder: Path, port: int, password: str, *more: str) -> Server:
    folder.mkdir()
    own = free_port()
    config = folder / "sentinel.conf"
    lines = [
        f"port {own}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor shop 127.0.0.1 {port} 1",
        f"sentinel auth-pass shop {password}",
        *more,
    ]
    config.write_text("\n".join(lines) + "\n")
    words = [BINARIES[-1], str(config), "--sentinel"]
    sentinel = Server(subprocess.Popen(words, stdout=subprocess.DEVNULL), own)
    redis_server.wait_for(sentinel)
    return sentinel


def test_sentinel_names_the_server(watched: tuple[Server, Server]) -> None:
    server, sentinel = watched
    down = free_port()
    places = f"127.0.0.1:{down},127.0.0.1:{sentinel.port}"
    target = target_at(f"redis+sentinel://:s3cret%40word@{places}/shop/0")
    with cache.connection(target) as client:
        assert client.get("there") == "1"
        assert client.connection_pool.connection_kwargs["port"] == server.port
    assert cache.ping(target).status is Status.OK
    assert shares_redis(target)
    with reading(target) as session:
        assert session.run(session.client.get("there")) == "1"


def test_what_sentinel_does_not_know_is_named(watched: tuple[Server, Server]) -> None:
    server, sentinel = watched
    unknown = f"redis+sentinel://:s3cret%40word@127.0.0.1:{sentinel.port}/other"
    with pytest.raises(Misconfigured, match="no master named 'other'; it knows shop"):
        cache.ping(target_at(unknown))
    plain = f"redis+sentinel://:s3cret%40word@127.0.0.1:{server.port}/shop"
    with pytest.raises(Misconfigured, match="is no Sentinel"):
        cache.ping(target_at(plain))
    nowhere = f"redis+sentinel://127.0.0.1:{free_port()}/shop"
    with pytest.raises(Unreachable, match="No Sentinel of redis_url responds"):
        cache.ping(target_at(nowhere))


def test_the_next_sentinel_may_know_what_the_first_does_not(watched: tuple[Server, Server]) -> None:
    server, sentinel = watched
    places = f"127.0.0.1:{server.port},127.0.0.1:{sentinel.port}"
    target = target_at(f"redis+sentinel://:s3cret%40word@{places}/shop/0")
    assert cache.ping(target).status is Status.OK


def test_a_master_that_cannot_be_reached_is_named(watched: tuple[Server, Server]) -> None:
    server, sentinel = watched
    target = target_at(f"redis+sentinel://:s3cret%40word@127.0.0.1:{sentinel.port}/shop")
    server.kill()
    named = rf"at 127\.0\.0\.1:{server.port} as Sentinel says, cannot be reached"
    with pytest.raises(Unreachable, match=named):
        cache.ping(target)
    with pytest.raises(Unreachable, match=named), reading(target) as session:
        session.run(session.client.ping())


def test_sentinel_with_a_password_of_its_own(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path / "primary")
    server.run("CONFIG", "SET", "requirepass", "of-redis")
    sentinel = start_sentinel(tmp_path / "sentinel", server.port, "of-redis", "requirepass own")
    try:
        url = f"redis+sentinel://:of-redis@127.0.0.1:{sentinel.port}/shop"
        assert cache.ping(target_at(f"{url}?sentinel_password=own")).status is Status.OK
        with pytest.raises(Misconfigured, match=r"Sentinel .* refuses the login"):
            cache.ping(target_at(url))
    finally:
        sentinel.kill()
        server.kill()
