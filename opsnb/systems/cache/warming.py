"""Warming the cache up: by the API, or directly from the database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import redis

from opsnb.errors import BadAnswer
from opsnb.guard import Permit, Plan, action, require
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems import api, database
from opsnb.systems.cache.connection import (
    connection,
    demand_writable,
    execute,
    read_info,
    writing,
)
from opsnb.systems.cache.keyspace import describe, scan, span
from opsnb.systems.cache.server import SYSTEM
from opsnb.target import Target

Via = Literal["api", "direct"]

TTL_S = 15 * 60
"""How long a project that was warmed directly lives: the handbook's 15 minutes."""

_PATTERN = b"project:*"
_WARMING_S = 60.0  # the API answers when it has written everything
_COUNTING_S = 5.0
_AT_ONCE = 100
_SHOWN_KEYS = 10


@action(needs=(SYSTEM,), resumable=True)
def warm_up(
    target: Target, _: ActionRecord | None, projects: int = 100, *, via: Via = "api"
) -> Plan:
    """Warm the cache up.

    Via `api` the service decides what it loads. `direct` writes the first `projects` from
    PostgreSQL as `project:<id>`, in JSON, to live for 15 minutes.
    """
    with connection(target) as client:
        info = read_info(client)
        demand_writable(info)
    if via == "api":
        return _by_api(target, info.get("run_id"))
    return _directly(target, projects, info.get("run_id"))


def _by_api(target: Target, server: str | None) -> Plan:
    with api.client(target) as http:
        http.get("/health")  # an API that is down is told before anything has begun
    before = _cached(target)
    patient = target.model_copy(update={"time_limit_s": _WARMING_S})

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        with api.client(patient) as http:
            answer = http.post("/api/cache/warm")
        if not answer.is_success:
            raise BadAnswer(
                api.SYSTEM,
                f"POST /api/cache/warm answered {answer.status_code}: look into the API's log, or "
                "warm the cache directly with -p via=direct.",
            )
        yield 1

    return Plan(
        summary="Ask the API to load its critical data into the cache, which holds "
        f"{before.words()} now.",
        planned=1,
        unit="requests",
        command=f"curl -X POST {target.api.url}/api/cache/warm",
        undo=_undo(target),
        work=work,
        verify=lambda: [_seen(_cached(target))],
        sample=before.sample,
        basis=server,
    )


def _directly(target: Target, projects: int, server: str | None) -> Plan:
    found = _read_first(target, projects)
    ids = [row["id"] for row in found]
    sizes = [len(_json(row)) for row in found]

    def work(permit: Permit) -> Iterator[int]:
        done = 0
        with writing(target, permit, decode=True) as client:
            for start in range(0, len(ids), _AT_ONCE):
                rows = _read_these(target, ids[start : start + _AT_ONCE])
                pipeline = client.pipeline(transaction=False)
                for row in rows:
                    pipeline.set(_key(row["id"]), _json(row), ex=TTL_S)
                done += len(execute(pipeline))
                yield done

    short = f" (there are no more than {len(ids):,})" if len(ids) < projects else ""
    return Plan(
        summary=f"Write the first {len(ids):,} projects{short} from PostgreSQL into the cache, "
        f"for {span(TTL_S)}.",
        planned=len(ids),
        unit="keys",
        command="for (const project of await db.select().from(projects).limit("
        f"{projects})) await cacheService.set(`project:${{project.id}}`, project, 15 * 60)",
        undo=_undo(target),
        work=work,
        verify=lambda: [_written(target, ids)],
        sample=[
            {"key": _key(id_), "bytes": size}
            for id_, size in zip(ids[:_SHOWN_KEYS], sizes, strict=False)
        ],
        bytes=sum(sizes),
        # Projects come and go; the server must be the one that was looked at.
        basis=server,
        warning="What the cache holds of these projects is replaced by what the database holds.",
    )


@dataclass(frozen=True)
class _Cached:
    """The projects that are cached."""

    expiring: int
    """Keys with a time to live."""
    longest_s: float
    complete: bool
    sample: list[Row]

    def words(self) -> str:
        least = "" if self.complete else "at least "
        return f"{least}{self.expiring:,} projects"


def _cached(target: Target) -> _Cached:
    """Count the `project:*` keys that have a time to live, by a scan of a few seconds."""
    expiring, longest_s, complete = 0, 0.0, True
    sample: list[bytes] = []
    ends = time.monotonic() + _COUNTING_S
    with connection(target, decode=False) as client:
        for keys in scan(client, _PATTERN):
            left = [seconds for seconds in _to_live_s(client, keys) if seconds > 0]
            expiring, longest_s = expiring + len(left), max([longest_s, *left])
            sample += keys[: _SHOWN_KEYS - len(sample)]
            if time.monotonic() > ends:
                complete = False
                break
        rows = [fact.row() for fact in describe(client, sample)]
    return _Cached(expiring, longest_s, complete, rows)


def _seen(cached: _Cached) -> Finding:
    status, message = (
        Status.OK,
        f"{cached.words()} are cached, for {span(cached.longest_s)} at most.",
    )
    if not cached.expiring:
        status = Status.CRIT
        message = "The API answered, but no project:* key with a time to live is in the cache."
    return Finding(
        status=status, message=message, value=cached.expiring, unit="keys", rows=cached.sample
    )


def _written(target: Target, ids: Sequence[Any]) -> Finding:
    """Look at every key that was to be written: it is there, and lives as long as meant."""
    with connection(target, decode=False) as client:
        seconds = _to_live_s(client, [_key(id_).encode() for id_ in ids])
    there = [left for left in seconds if 0 < left <= TTL_S]
    message = f"{len(there):,} of {len(ids):,} projects are cached"
    message += f", for {span(min(there))} at least." if there else "."
    status = Status.OK if len(there) == len(ids) else Status.CRIT
    return Finding(status=status, message=message, value=len(there), unit="keys")


def _to_live_s(client: redis.Redis, keys: Sequence[bytes]) -> list[float]:
    """Return the seconds that `keys` have to live; negative when there is no limit or no key."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    return [left / 1000 for left in execute(pipeline)] if keys else []


def _read_first(target: Target, projects: int) -> list[dict[str, Any]]:
    with database.connection(target) as reader:
        return reader.execute("SELECT * FROM projects ORDER BY id LIMIT %s", [projects]).fetchall()


def _read_these(target: Target, ids: Sequence[Any]) -> list[dict[str, Any]]:
    with database.connection(target) as reader:
        return reader.execute(
            "SELECT * FROM projects WHERE id = ANY(%s) ORDER BY id", [list(ids)]
        ).fetchall()


def _key(id_: Any) -> str:
    return f"project:{id_}"


def _json(row: dict[str, Any]) -> str:
    """Return a row as the service itself would write it."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_value)


def _value(value: Any) -> str:
    """Return what JSON has no form for, as JavaScript writes it."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")
    return str(value)


def _undo(target: Target) -> str:
    return f"opsnb run cache/clear -t {target.name} -p pattern='project:*' --apply"
