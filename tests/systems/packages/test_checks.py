"""Packages with holes and newer versions: by the real npm and a registry of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Status
from opsnb.systems import packages
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.packages import checks

needs_npm = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not on the PATH")

LODASH = {
    "name": "lodash",
    "dist-tags": {"latest": "4.17.21"},
    "versions": {
        version: {"name": "lodash", "version": version} for version in ("4.17.15", "4.17.21")
    },
}
ADVISORY = {
    "id": 1106913,
    "url": "https://github.com/advisories/GHSA-35jh-r3h4-6jhm",
    "title": "Command Injection in lodash",
    "severity": "high",
    "vulnerable_versions": "<4.17.21",
    "cwe": ["CWE-77"],
    "cvss": {"score": 7.2, "vectorString": None},
}
LOCK = {
    "name": "shop",
    "version": "1.0.0",
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "shop", "version": "1.0.0", "dependencies": {"lodash": "^4.17.15"}},
        "node_modules/lodash": {"version": "4.17.15"},
    },
}


@contextmanager
def registry(advisories: dict[str, Any] | None) -> Iterator[str]:
    """A registry that knows lodash, and these advisories; None answers no audit, as a mirror."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200 if self.path == "/lodash" else 404, LODASH)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(405 if advisories is None else 200, advisories or {})

        def answer(self, code: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def service(folder: Path, url: str, *, locked: bool = True) -> Target:
    """A service that depends on an old lodash, and a npm that asks the registry at `url`."""
    about = {"name": "shop", "version": "1.0.0", "dependencies": {"lodash": "^4.17.15"}}
    (folder / "package.json").write_text(json.dumps(about))
    (folder / ".npmrc").write_text(f"registry={url}\nfetch-retries=0\ncache={folder}/cache\n")
    if locked:
        (folder / "package-lock.json").write_text(json.dumps(LOCK))
    return Target(name="shop", deploy=Deploy(folder=str(folder)))


@needs_npm
def test_a_known_hole_is_listed_with_what_mends_it(tmp_path: Path) -> None:
    with registry({"lodash": [ADVISORY]}) as url:
        found = packages.npm_security(service(tmp_path, url))
    assert (found.status, found.value) == (Status.WARN, 1)
    assert found.message == "Known vulnerabilities in packages of the service: 1 high."
    (row,) = found.rows
    del row["versions"]  # npm says it by the versions that this registry has
    assert found.rows == [
        {
            "package": "lodash",
            "severity": "high",
            "vulnerability": "Command Injection in lodash",
            "direct": True,
            "fix": "npm audit fix",
        }
    ]


@needs_npm
def test_no_hole_is_ok(tmp_path: Path) -> None:
    with registry({}) as url:
        found = packages.npm_security(service(tmp_path, url))
    assert (found.status, found.value) == (Status.OK, 0)


@needs_npm
def test_without_a_lock_file_it_is_unknown_with_the_mend(tmp_path: Path) -> None:
    with (
        registry({}) as url,
        pytest.raises(BadAnswer, match="no lock file; npm install --package-lock-only makes one"),
    ):
        packages.npm_security(service(tmp_path, url, locked=False))


@needs_npm
def test_a_registry_that_answers_no_audit_is_unknown(tmp_path: Path) -> None:
    with registry(None) as url, pytest.raises(BadAnswer, match=r"405 .*npm config get registry"):
        packages.npm_security(service(tmp_path, url))


@needs_npm
@pytest.mark.parametrize("check", [packages.npm, packages.npm_security])
def test_a_registry_that_cannot_be_reached_is_unknown(tmp_path: Path, check: Any) -> None:
    with registry({}) as url:
        target = service(tmp_path, url)
    with pytest.raises(BadAnswer, match=r"ECONNREFUSED.*npm config get registry") as caught:
        check(target)
    assert "\n" not in str(caught.value)


@needs_npm
def test_a_newer_version_is_listed(tmp_path: Path) -> None:
    with registry({}) as url:
        found = packages.npm(service(tmp_path, url))
    (row,) = found.rows
    assert (row["package"], row["wanted"], row["latest"]) == ("lodash", "4.17.21", "4.17.21")


def test_a_target_without_a_folder_says_so() -> None:
    with pytest.raises(NotConfigured, match=r"\[targets.shop.deploy\]"):
        packages.npm_security(Target(name="shop"))


def test_the_worst_comes_first_and_what_only_passes_a_hole_on_says_whose() -> None:
    rows = packages.parse_audit(
        {
            "vulnerabilities": {
                "a": {"severity": "low", "via": ["b"], "fixAvailable": False},
                "b": {
                    "severity": "critical",
                    "via": [{"title": "Hole"}, {"title": "Hole"}],
                    "fixAvailable": {"name": "c", "version": "2.0.0", "isSemVerMajor": True},
                },
            }
        }
    )
    assert [(row["package"], row["vulnerability"], row["fix"]) for row in rows] == [
        ("b", "Hole", "c 2.0.0 (breaking)"),
        ("a", "by b", "none yet"),
    ]


def test_the_answer_of_an_old_npm_is_told() -> None:
    with pytest.raises(BadAnswer, match="npm 7 is needed"):
        packages.parse_audit({"advisories": {}})


APT = """Listing...
curl/stable 7.88.1-10+deb12u8 amd64 [upgradable from: 7.88.1-10+deb12u7]
openssl/stable-security 3.0.15-1~deb12u1 amd64 [upgradable from: 3.0.14-1~deb12u2]
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt on the PATH that prints the file `said`, and the folder of its lists."""
    program = tmp_path / "bin" / "apt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/said"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    lists = tmp_path / "lists"
    lists.mkdir()
    monkeypatch.setattr(checks, "_APT_LISTS", str(lists))
    (tmp_path / "said").write_text("Listing...\n")
    return lists


def test_only_security_updates_of_the_machine_are_listed(apt: Path, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(APT)
    found = packages.debian_security(Target(name="shop"))
    assert (found.status, [row["package"] for row in found.rows]) == (Status.WARN, ["openssl"])
    assert packages.debian(Target(name="shop")).value == 2


def test_what_old_or_no_lists_do_not_tell_of_is_unknown(apt: Path) -> None:
    target = Target(name="shop")
    with pytest.raises(BadAnswer, match="has no lists of packages: sudo apt update"):
        packages.debian_security(target)
    (apt / "deb_Packages.lz4").touch()
    assert packages.debian_security(target).status is Status.OK
    os.utime(apt, (time.time() - 40 * 86_400,) * 2)
    with pytest.raises(BadAnswer, match="40 days old"):
        packages.debian_security(target)
