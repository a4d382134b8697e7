"""`site serve` answers to the names of this machine, with the files of the site alone."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb.site.server import server


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    site = tmp_path / "site"
    (site / "assets").mkdir(parents=True)
    (site / "index.html").write_text("home")
    (site / "assets" / "page.css").write_text("a {}")
    (site / ".opsnb-site").write_text("")
    (tmp_path / "secret").write_text("outside")
    (site / "link").symlink_to(tmp_path / "secret")
    (site / "out").mkdir()
    (site / "out" / "index.html").symlink_to(tmp_path / "secret")
    os.mkfifo(site / "pipe")
    with server(site, 0, ["ops.example.com", "Wiki.example.com:8443"]) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


def ask(port: int, path: str, host: str | None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert b"outside" not in body
    assert b"Directory listing" not in body
    return answer.status


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "LOCALHOST",
        "localhost.",
        "ops.example.com",
        "wiki.example.com",
    ],
)
@pytest.mark.parametrize("suffix", ["", ":{port}"])
def test_it_answers_to_the_names_that_it_serves(port: int, host: str, suffix: str) -> None:
    assert ask(port, "/", host + suffix.format(port=port)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "",
        None,
        "127.0.0.2",
        "127.0.0.1:80:90",
        "evil.example:80",
        "::1",
    ],
)
def test_it_refuses_every_other_name(port: int, host: str | None) -> None:
    assert ask(port, "/index.html", host) == 403


def test_two_names_at_once_are_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n")
        assert b" 403 " in client.recv(1000)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets",
        "/.opsnb-site",
        "/link",
        "/out/",
        "/pipe",
        "/../secret",
        "/%2e%2e/secret",
        "/nothing",
        "/assets/../.opsnb-site",
        "/%2eopsnb-site",
        "//etc/passwd",
        "/a%00b",
        "/" + "x" * 5000,
    ],
)
def test_no_listing_no_hidden_file_and_nothing_outside_of_the_site(port: int, path: str) -> None:
    status = ask(port, path, "localhost")
    if path == "/assets":  # leads to the folder, which is not listed
        assert status in (301, 404)
    else:
        assert status == 404


def test_a_file_in_a_folder_is_served(port: int) -> None:
    assert ask(port, "/assets/page.css", "localhost") == 200
