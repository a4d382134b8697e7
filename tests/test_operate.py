"""Every runbook, once as a dry run that changes nothing, and once with `--apply`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from opsnb import catalog
from opsnb.config.target import Target
from opsnb.demo import stack
from opsnb.model import ActionState
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from tests.operate import (
    Scenario,
    cache,
    database,
    deployment,
    health,
    incidents,
    maintenance,
    monitoring,
    queues,
    troubleshooting,
)
from tests.runs import run_once

SCENARIOS: dict[str, Scenario] = {
    **health.SCENARIOS,
    **queues.SCENARIOS,
    **cache.SCENARIOS,
    **database.SCENARIOS,
    **troubleshooting.SCENARIOS,
    **incidents.SCENARIOS,
    **monitoring.SCENARIOS,
    **deployment.SCENARIOS,
    **maintenance.SCENARIOS,
}

_LASTS_S = 300  # longer than a test, so that nothing expires in the middle of it
# What BullMQ's workers renew by themselves though nobody uses the service.
_RENEWED = (":stalled-check", ":events", ":stalled")


@pytest.fixture
def quiet(demo: Target) -> Iterator[Target]:
    """The demo target with nobody using it, so that nothing changes by itself."""
    stack.set_traffic(False)
    with redis.Redis.from_url(Cache.of(demo).url) as client:
        for key in client.scan_iter(count=1000):
            if 0 < client.ttl(key) < _LASTS_S:
                client.expire(key, _LASTS_S)
    before = None
    while (seen := snapshot(demo)) != before:  # what was under way ends
        before = seen
        time.sleep(1)
    yield demo
    stack.set_traffic(True)


def snapshot(target: Target) -> dict[str, Any]:
    """Return every key with its content, every row count, and every setting."""
    return {"redis": _redis(target), "database": _database(target)}


def _redis(target: Target) -> dict[str, Any]:
    with redis.Redis.from_url(Cache.of(target).url) as client, client.pipeline(False) as asked:
        keys = [key for key in client.scan_iter(count=1000) if not key.decode().endswith(_RENEWED)]
        for key in keys:
            asked.type(key)
        kinds = asked.execute()
        for key, kind in zip(keys, kinds, strict=True):
            _ask_content(asked, key, kind)
        contents = dict(zip(keys, asked.execute(), strict=True))
        return {"keys": contents, "settings": client.config_get()}


def _ask_content(client: redis.Redis, key: bytes, kind: bytes) -> None:
    """Ask what `key` holds. Not DUMP: its bytes change as a hash table is rearranged."""
    ask: dict[bytes, Callable[[], Any]] = {
        b"string": lambda: client.get(key),
        b"hash": lambda: client.hgetall(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda: client.xrange(key),
        b"none": lambda: client.get(key),  # it expired meanwhile
    }
    ask[kind]()


def _database(target: Target) -> dict[str, Any]:
    with psycopg.connect(Database.of(target).url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        counts = {
            table: connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table))
            ).fetchone()
            for table in tables
        }
        others = {
            "databases": "SELECT datname FROM pg_database ORDER BY 1",
            "relations": "SELECT oid, relname, relfilenode, relkind FROM pg_class ORDER BY oid",
            "settings": "SELECT name, setting FROM pg_settings WHERE name !~ '^in_hot_' ORDER BY 1",
            "analyzed": "SELECT relname, last_analyze, last_vacuum FROM pg_stat_user_tables"
            " ORDER BY 1",
        }
        return {
            "rows": counts,
            **{name: connection.execute(query).fetchall() for name, query in others.items()},
        }


def test_every_runbook_has_a_scenario() -> None:
    assert set(SCENARIOS) == {info.id for info in catalog.runbooks()}


@pytest.mark.parametrize("runbook", SCENARIOS)
def test_a_runbook_plans_without_changing_anything_and_applies_exactly_its_plan(
    quiet: Target, runbook: str
) -> None:
    scenario, info = SCENARIOS[runbook], catalog.runbook(runbook)
    scenario.prepare(quiet)

    before = snapshot(quiet)
    # A queue has to be named, as the demo has several; nothing else has.
    named = {"queue": "ai-analysis"} if "queue" in {each.name for each in info.parameters} else {}
    dry = run_once(quiet, runbook, named)
    assert snapshot(quiet) == before
    assert {action.applied for action in dry.actions} <= {0}
    assert bool(dry.actions) == info.acts

    parameters = scenario.parameters | ({"apply": "true"} if info.acts else {})
    result = run_once(quiet, runbook, named | parameters) if parameters else dry
    for action in result.actions:
        assert action.state is ActionState.APPLIED, json.dumps(action.model_dump(mode="json"))
        assert action.applied == action.planned
        assert action.verified or not action.planned
    scenario.effect(quiet, result)
