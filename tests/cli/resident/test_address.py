"""What a process cannot change after its imports leads to another resident."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb.cli.resident import address

# Which variables the imports of the resident read, and who reads all of them.
READ = """
import os, sys
from opsnb.cli.resident import address
names = set()
kind = type(os.environ)
get = kind.__getitem__
kind.__getitem__ = lambda environ, name: (names.add(name), get(environ, name))[1]
from opsnb.cli.resident import server
server._prepare()
kind.__getitem__ = get
print(*sorted(name for name in names if not address.is_read_by_imports(name)))
"""
# Of all variables fsspec takes its own, with which there is no resident. Redaction reads those that
# are there when it is warmed up, and again in each run.
LATER = {"FSSPEC_CONFIG_DIR", "OPSNB_CONFIG", "PGPASSFILE"}


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "LC_TIME", "LD_PRELOAD", "HOME", "USER"])
def test_a_variable_that_imports_read_is_part_of_the_address(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = address.path()
    assert before
    assert before == address.path()
    monkeypatch.setenv(name, "/other")
    assert address.path() != before


def test_another_configuration_has_another_resident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = address.path()
    (tmp_path / "opsnb.toml").touch()
    configured = address.path()
    assert configured != before
    assert address.environment()["OPSNB_CONFIG"] == str(tmp_path / "opsnb.toml")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert address.path() == configured


@pytest.mark.parametrize(
    "change",
    ["umask 027;", "ulimit -n 512;", "nice -n 3", "ulimit -S -v 8000000;"],
)
def test_rights_limits_and_priority_are_part_of_the_address(change: str) -> None:
    words = [sys.executable, "-c", "from opsnb.cli.resident import address as a; print(a.path())"]
    before, after = (
        subprocess.check_output(["/bin/sh", "-c", f'{how} "$@"', "sh", *words], text=True)
        for how in ("", change)
    )
    assert before != after
    assert resource.getrlimit(resource.RLIMIT_NOFILE)  # this process is as it was


def test_the_resident_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@host")
    assert not {"API_TOKEN", "REDIS_URL"} & set(address.environment())


def test_what_imports_read_is_part_of_the_address() -> None:
    told = subprocess.run(
        [sys.executable, "-P", "-c", READ],
        env=address.environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert set(told.stdout.split()) - LATER - set(os.environ) == set()
