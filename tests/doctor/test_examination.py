"""The doctor: what it tried, the answer, and the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.doctor import Verdict, examine
from opsnb.model import Status
from opsnb.redaction import MASK
from opsnb.systems.api.doctor import PROBES
from tests.records.test_spool import blocked, left


def doctor(name: str, toml: str = "") -> dict[str, Verdict]:
    if toml:
        Path("opsnb.toml").write_text(toml)
    config = load_config()
    return {each.finding.name: each for each in examine(config.target(name), config)}


def test_what_is_not_configured_is_told_with_the_key_to_set() -> None:
    found = doctor("bare", "[targets.bare]\nlogs = []\n")
    for name, key in (
        ("api.health", "api_url"),
        ("cache.ping", "redis_url"),
        ("database.ping", "database_url"),
        ("logs.errors", "logs"),
    ):
        assert found[name].finding.status in (Status.WARN, Status.UNKNOWN)
        assert found[name].fix == f"Set {key} in [targets.bare] of {Path.cwd() / 'opsnb.toml'}."


def test_without_a_file_the_variable_to_set_is_named() -> None:
    fix = doctor("local")["database.ping"].fix
    assert (
        fix
        == "Set database_url in [targets.local] of opsnb.toml, or DATABASE_URL in the environment."
    )


@pytest.mark.parametrize(
    "toml",
    [
        "[targets.a]\nlogs = []\n",
        '[targets.a]\napi_url = "http://127.0.0.1:9"\nredis_url = "redis://127.0.0.1:9"\n'
        'database_url = "postgresql://127.0.0.1:9/x"\nprocesses.manager = "systemd"\n',
    ],
)
def test_whatever_is_wrong_has_a_fix(toml: str) -> None:
    for name, each in doctor("a", toml).items():
        well = each.finding.status in (Status.OK, Status.SKIPPED)
        # An answer that is an error says itself how to fix it.
        says_it = each.finding.failure not in ("", "Unreachable", "TimedOut")
        assert not (well and each.fix), name
        assert well or each.fix or says_it, name
        assert each.tried, name
        assert each.finding.status is not Status.SKIPPED or each.finding.caused_by, name


def test_what_a_service_is_said_not_to_have_is_no_warning() -> None:
    toml = '[targets.a.api]\nurl = "http://127.0.0.1:9"\nhealth = ""\nqueue_stats = ""\n'
    found = doctor("a", toml)
    for name in ("api.health", "api.queue_stats"):
        assert (found[name].finding.status, found[name].fix) == (Status.SKIPPED, ""), name


def test_a_record_that_waits_in_the_spool_is_told_with_the_command(tmp_path: Path) -> None:
    assert "records" not in doctor("bare", "[targets.bare]\nlogs = []\n")
    at = tmp_path / "records"
    left(blocked(at))
    at.unlink()
    found = doctor("bare", "[targets.bare]\nlogs = []\n")["records"]
    assert found.finding.status is Status.WARN
    assert found.finding.message.startswith("1 record waits to be written to ")
    assert found.fix == "opsnb records recover"


def test_no_secret_is_in_a_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_TOKEN", "hunter2hunter2")
    found = doctor(
        "a",
        '[targets.a]\nlogs = ["/nowhere/hunter2hunter2.log"]\n'
        'database_url = "postgresql://127.0.0.1:9/x?password=s3cret-of-db"\n'
        'redis_url = "redis://:s3cret-of-redis@127.0.0.1:9"\n',
    )
    assert found["logs.errors"].tried == f"/nowhere/{MASK}.log"
    assert MASK in found["logs.errors"].finding.message
    shown = json.dumps(
        [[e.finding.model_dump(mode="json"), e.tried, e.fix] for e in found.values()]
    )
    assert "hunter2" not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("url", ["http://h", "http://h/", "http://h?token=x", "http://h/?a=b#c"])
def test_the_address_that_was_tried_is_the_whole_one(url: str) -> None:
    tried = {probe.check.name: probe.tried for probe in PROBES}
    target = Target(name="a").changed(api_url=url)
    assert tried["api.health"](target) == "GET http://h/health"
    assert tried["api.queue_stats"](target) == "GET http://h/api/queue/stats"
