"""The keys that Redis holds, by database and one by one."""

from __future__ import annotations

from typing import Any

import redis

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.systems.cache.connecting import connection
from opsnb.systems.cache.info import chosen_database, filled_databases, known_info, read_info
from opsnb.systems.cache.keyspace import describe, text
from opsnb.systems.cache.server import SYSTEM
from opsnb.view.formats import counted, span


@check(needs=(SYSTEM,))
def keys(target: Target) -> Finding:
    """Keys by database"""
    with connection(target) as client:
        info = read_info(client)
        if not filled_databases(info) and client.dbsize():
            raise BadAnswer(SYSTEM, "This Redis does not report its databases in INFO.")
    rows: list[Row] = [
        {
            "db": number,
            "keys": count["keys"],
            "with_ttl": count["expires"],
            "without_ttl": count["keys"] - count["expires"],
            "mean_ttl": span(count.get("avg_ttl", 0) / 1000) if count["expires"] else "",
        }
        for number, count in ((db, info[f"db{db}"]) for db in filled_databases(info))
    ]
    total = sum(row["keys"] for row in rows)
    lasting = sum(row["without_ttl"] for row in rows)
    message = (
        f"Redis holds {counted(total, 'key')} in {counted(len(rows), 'database')}; "
        f"{lasting:,} of them never expire."
    )
    if not total:
        message = "Redis holds no keys."
    return Finding(status=Status.OK, message=message, value=total, unit="keys", rows=rows)


@check(needs=(SYSTEM,))
def key(target: Target, name: str, *, db: str = "") -> Finding:
    """One key: type, time to live, size.

    Its value is not read: it may be large or private. `db` is the number of its database; empty is
    the one of redis_url.
    """
    with connection(target) as client:
        known_info(client)
        chosen = client.raw(chosen_database(client, db))
        found = describe(chosen, [name.encode()])
        if not found:
            return Finding(status=Status.OK, message=f"There is no key '{name}' now.")
        encoding = _encoding(chosen, name)
    fact = found[0]
    lives = "never expires" if fact.ttl_s is None else f"expires in {span(fact.ttl_s)}"
    size = "" if fact.bytes is None else f", {fact.bytes:,} bytes"
    message = f"'{name}' is a {fact.type}{size}, and {lives}."
    rows = [{**fact.row(), "encoding": text(encoding)}]
    return Finding(status=Status.OK, message=message, value=fact.ttl_s, unit="s", rows=rows)


def _encoding(client: redis.Redis, name: str) -> bytes:
    """Return how a key is encoded; nothing where OBJECT is not permitted."""
    try:
        found: Any = client.object("ENCODING", name)
    except redis.ResponseError:
        evidence.without("its encoding, as OBJECT ENCODING is not permitted")
        return b""
    return found or b""
