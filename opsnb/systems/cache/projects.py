"""Writing projects from PostgreSQL into the cache, as the handbook's service does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from opsnb.actions.action import Permit, Plan
from opsnb.config.target import Target
from opsnb.model import Finding, Status
from opsnb.systems import database
from opsnb.systems.cache.connecting import connection, execute, writing
from opsnb.systems.cache.keyspace import to_live_s
from opsnb.view import commands
from opsnb.view.formats import span

TTL_S = 15 * 60
"""The time to live of a project that was written directly: the handbook's 15 minutes."""

PROJECTS = "project:*"
SHOWN_KEYS = 10
_AT_ONCE = 100
NOTHING_DONE = Finding(status=Status.SKIPPED, message="Not verified: nothing was done.")


def write_directly(target: Target, projects: int, server: str | None) -> Plan:
    """Return the plan to write the first `projects` from PostgreSQL into the cache."""
    found = _read_first(target, projects)
    ids = [row["id"] for row in found]
    sizes = [len(_json(row)) for row in found]

    def work(permit: Permit) -> Iterator[int]:
        done = 0
        with writing(target, permit) as client:
            for start in range(0, len(ids), _AT_ONCE):
                rows = _read_these(target, ids[start : start + _AT_ONCE])
                pipeline = client.pipeline(transaction=False)
                for row in rows:
                    pipeline.set(_key(row["id"]), _json(row), ex=TTL_S)
                done += len(execute(pipeline))
                yield done

    short = f" (there are only {len(ids):,})" if len(ids) < projects else ""
    return Plan(
        summary=f"Write the first {len(ids):,} projects{short} from PostgreSQL into the cache, "
        f"for {span(TTL_S)}.",
        planned=len(ids),
        unit="keys",
        command="for (const project of await db.select().from(projects).limit("
        f"{projects})) await cacheService.set(`project:${{project.id}}`, project, 15 * 60)",
        undo=commands.run("cache/clear", target, apply=True, pattern=PROJECTS),
        work=work,
        verify=lambda: [_written(target, ids)],
        sample=[
            {"key": _key(id_), "bytes": size}
            for id_, size in zip(ids[:SHOWN_KEYS], sizes, strict=False)
        ],
        bytes=sum(sizes),
        # Projects come and go; the server must stay the same.
        basis=server,
        warning="The projects from the database replace those in the cache.",
    )


def _written(target: Target, ids: Sequence[Any]) -> Finding:
    """Check that every key exists and has its time to live."""
    if not ids:
        return NOTHING_DONE
    with connection(target) as client:
        seconds = to_live_s(client, [_key(id_).encode() for id_ in ids])
    there = [left for left in seconds if 0 < left <= TTL_S]
    message = f"{len(there):,} of {len(ids):,} projects are cached"
    message += f", for at least {span(min(there))}." if there else "."
    status = Status.OK if len(there) == len(ids) else Status.CRIT
    return Finding(status=status, message=message, value=len(there), unit="keys")


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
    """Return a row as the service would write it."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_value)


def _value(value: Any) -> str:
    """Return a value that JSON cannot hold, as JavaScript writes it."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")
    return str(value)
