"""Systems register themselves, those of other packages like the built-in ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb.config import systems
from opsnb.config.systems import attribute

SYSTEM = '''
from typing import Annotated

from pydantic import Field

from opsnb.config.settings import Secret, Settings
from opsnb.config.systems import System
from opsnb.config.urls import HttpUrl
from opsnb.model import Threshold


class Broker(Settings):
    """`[targets.NAME.broker]`: the message broker."""

    url: HttpUrl = Field("", repr=False, description="Its API.")
    token: Annotated[str, Secret.VALUE] = Field("", repr=False, description="Sent with requests.")
    restart: tuple[str, ...] = Field((), description="Starts it.")


BROKER = System(
    name="broker",
    title="the broker",
    settings=Broker,
    address="url",
    shorthands={"broker_url": "url", "restart.broker": "restart"},
    defaults={"url": "http://localhost:15672"},
    variables={"url": "BROKER_URL"},
    probes="acme_broker.checks:PROBES",
    dependency="acme_broker.checks:dependency",
    thresholds=(Threshold(metric="broker_depth", label="Messages", unit="", warn=5, source="own"),),
)
'''
CHECKS = '''
from opsnb.checks.check import check
from opsnb.checks.probe import Probe
from opsnb.errors import NotConfigured, Unreachable
from opsnb.model import Finding, Status
from opsnb.systems.dependencies import ask
from acme_broker.system import Broker


@check(probes="broker")
def ping(target):
    """The broker"""
    if not Broker.of(target).url:
        raise NotConfigured("broker", "Target names no broker_url.")
    raise Unreachable("broker", f"No answer with {Broker.of(target).token}.")


@check(needs=("broker",))
def depth(target):
    """Messages that wait"""
    return Finding.measured(7, target.threshold("broker_depth"), "7 messages wait.")


def dependency(target):
    return ask(target, "broker", ping, Broker.of(target).restart, [("127.0.0.1", 9)])


PROBES = (
    Probe(ping, tried=lambda target: Broker.of(target).url, down="Start it.", key="broker_url"),
)
'''
TOML = """
[targets.a]
broker_url = "http://127.0.0.1:9"
broker.token = "hunter2hunter2"
restart = { broker = ["true"], redis = ["false"] }
thresholds.broker_depth.warn = 10
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed package that registers a system."""
    package, about = tmp_path / "acme_broker", tmp_path / "acme_broker-1.dist-info"
    for folder in (package, about):
        folder.mkdir()
    (package / "__init__.py").touch()
    (package / "system.py").write_text(SYSTEM)
    (package / "checks.py").write_text(CHECKS)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broker\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[opsnb.systems]\nbroker = acme_broker.system:BROKER\n")
    (tmp_path / "opsnb.toml").write_text(TOML)
    return tmp_path


def run(site: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=site,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_system_of_another_package_is_one_like_the_others(site: Path) -> None:
    script = """
import json
from opsnb.config.file import load_config
from opsnb.doctor import examine
from opsnb.systems.dependencies import dependency, start
from opsnb.site.docs.reference import configuration
from acme_broker import checks
from acme_broker.system import Broker

config = load_config()
target = config.target("a")
down = dependency(target, "broker")
print(json.dumps({
    "url": Broker.of(target).url,
    "changed": Broker.of(target.changed(broker_url="http://h")).token,
    "address": target.describe()["broker"],
    "secrets": sorted(target.secrets),
    "status": checks.depth(target).status,
    "name": checks.depth.name,
    "doctor": {each.finding.name: each.finding.message for each in examine(target, config)},
    "state": [down.state, down.title, list(down.command)],
    "planned": start(target).planned,
    "docs": "## `[targets.NAME.broker]`" in configuration(),
}))
"""
    found = json.loads(run(site, script))
    assert found["url"] == found["address"] == "http://127.0.0.1:9"
    assert found["changed"] == "hunter2hunter2"
    assert found["secrets"] == ["hunter2hunter2"]
    assert (found["name"], found["status"]) == ("broker.depth", "ok")
    assert found["doctor"]["broker.ping"].startswith("No answer with ")
    assert "hunter2" not in found["doctor"]["broker.ping"]
    assert found["state"] == ["down", "the broker", ["true"]]
    assert found["planned"] == 1
    assert found["docs"]


def test_without_a_file_its_defaults_and_its_variable_hold(site: Path) -> None:
    (site / "opsnb.toml").unlink()
    script = """
import os
from opsnb.config.file import load_target
from acme_broker.system import Broker

print(Broker.of(load_target("local")).url)
os.environ["BROKER_URL"] = "http://elsewhere"
print(Broker.of(load_target("")).url)
"""
    assert run(site, script).split() == ["http://localhost:15672", "http://elsewhere"]


def test_a_key_that_it_does_not_know_is_refused(site: Path) -> None:
    script = """
from pathlib import Path
from opsnb.config.file import load_target
from opsnb.errors import ConfigError

for line in ("broker.tokn = 'x'", "brokr_url = 'x'", "restart.brokr = ['x']", "broker_url = 'x'"):
    Path("opsnb.toml").write_text(f"[targets.a]\\n{line}\\n")
    try:
        load_target("a")
    except ConfigError as error:
        print(error)
"""
    said = run(site, script).splitlines()
    nearest = ("'token'", "'broker_url'", "'broker'")
    assert all(name in line for name, line in zip(nearest, said, strict=False))
    assert "broker_url must start with http:// or https://" in said[3]


def test_a_target_is_read_without_a_driver() -> None:
    script = (
        "import sys; from opsnb.config.file import load_config; load_config().target('local');"
        "print([name for name in ('redis', 'psycopg', 'httpx', 'bullmq') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_every_system_names_what_there_is() -> None:
    for name, system in systems.systems().items():
        assert system.name == name
        for place in filter(None, (system.probes, system.dependency)):
            assert attribute(place)
        if system.settings is None:
            continue
        keys = system.settings.model_fields
        named = [*system.shorthands.values(), *system.defaults, *system.variables, *system.inherits]
        assert {*named, *filter(None, (system.plain, system.address))} <= keys.keys()
        assert all(field.description for field in keys.values()), name
