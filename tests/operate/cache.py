"""Scenarios of the cache's runbooks."""

from __future__ import annotations

import json

import redis

from opsnb.config.target import Target
from opsnb.model import RunResult, Status
from opsnb.systems.cache.settings import Cache
from tests.operate import Scenario

HELD = 300
"""How many keys the scenarios put into the cache."""


def client(target: Target) -> redis.Redis:
    return redis.Redis.from_url(Cache.of(target).url, decode_responses=True)


def matching(target: Target, pattern: str) -> set[str]:
    with client(target) as connected:
        return set(connected.scan_iter(match=pattern, count=1000))


def held(target: Target) -> None:
    """Put keys of a family of their own into the cache, half of them without a time to live."""
    with client(target) as connected:
        pipeline = connected.pipeline(transaction=False)
        for number in range(HELD):
            pipeline.set(f"drill:scene:{number}", "x" * 20, ex=3600 if number % 2 else None)
        pipeline.execute()


def release(target: Target) -> None:
    with client(target) as connected:
        connected.delete(*(f"drill:scene:{number}" for number in range(HELD)))


def read_often(target: Target) -> None:
    """Let the hit rate be that of these reads, and the slow log be empty."""
    held(target)
    with client(target) as connected:
        connected.config_resetstat()
        connected.slowlog_reset()
        for _ in range(3):
            connected.mget(f"drill:scene:{number}" for number in range(HELD))


def cold(target: Target) -> None:
    for key in matching(target, "project:*"):
        with client(target) as connected:
            connected.delete(key)


def cleared(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied, action.unit) == (HELD, HELD, "keys")
    assert not matching(target, "drill:*")
    assert matching(target, "bull:*:meta")
    assert result.status is Status.OK


def warmed(target: Target, result: RunResult) -> None:
    (action,) = result.actions
    assert (action.planned, action.applied) == (50, 50)
    with client(target) as connected:
        assert matching(target, "project:*") == {f"project:{number}" for number in range(1, 51)}
        assert json.loads(str(connected.get("project:7")))["id"] == 7
        assert 0 < int(connected.ttl("project:7")) <= 15 * 60
    assert result.status is Status.OK


def healthy(target: Target, result: RunResult) -> None:
    found = {finding.name: finding for finding in result.findings}
    assert {finding.status for finding in found.values()} == {Status.OK}
    assert " reads in 2 s" in found["cache.hit_rate"].message
    assert "drill:scene:7" in found["cache.key"].message
    release(target)


def watched(target: Target, result: RunResult) -> None:
    found = {finding.name: finding for finding in result.findings}
    assert {finding.status for finding in found.values()} == {Status.OK}
    assert len(found["cache.throughput"].rows) >= 4
    release(target)


def families_found(target: Target, result: RunResult) -> None:
    found = {finding.name: finding for finding in result.findings}
    (row,) = found["cache.families"].rows
    assert (row["family"], row["keys"]) == ("drill:scene:*", HELD)
    assert (row["with_ttl"], row["without_ttl"]) == (HELD // 2, HELD // 2)
    release(target)


SCENARIOS: dict[str, Scenario] = {
    "cache/health": Scenario(healthy, {"key": "drill:scene:7"}, read_often),
    "cache/clear": Scenario(cleared, {"pattern": "drill:*"}, held),
    "cache/warm_up": Scenario(warmed, {"via": "direct", "projects": "50"}, cold),
    "cache/performance": Scenario(watched, {"seconds": "1"}, read_often),
    "cache/key_patterns": Scenario(families_found, {"pattern": "drill:*"}, held),
}
