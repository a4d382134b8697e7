"""The families of keys: how many, how large, how long they live."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems.cache.connecting import (
    chosen_database,
    connection,
    known_info,
)
from opsnb.systems.cache.keyspace import (
    KeyFacts,
    chosen_patterns,
    describe,
    family,
    lifetime,
    matching,
    queue_prefix,
    text,
)
from opsnb.systems.cache.server import SYSTEM, server_of
from opsnb.systems.cache.settings import Cache
from opsnb.systems.cache.tallies import scan_all

_SAMPLE = 5000
_SAMPLING_S = 8.0
_SHOWN = 15
_MANY, _MUCH = 1000, 0.1  # keys that never expire: fewer, or a smaller share, are no leak


@check(needs=(SYSTEM,), limit_s=30, treated_by="the service has to set a time to live")
def families(target: Target, pattern: str = "*", *, sample: int = _SAMPLE, db: str = "") -> Finding:
    """Families of keys.

    Found by looking at `sample` keys that match the glob, in the order of the server's hash table,
    which is as good as at random. Counts and sizes of all keys are concluded from them. An empty
    glob stands for the cache's own. Keys of the cache that never expire are a leak; those of
    queues, and those that `[targets.NAME.cache] patterns` leaves out where it is set, are not
    judged. `db` is the number of the database; empty is the one of redis_url.
    """
    drawn = _draw(target, pattern, sample, db)
    rows = _rows(drawn, target)
    if not rows:
        globs = " or ".join(_globs(target, pattern))
        return Finding(status=Status.OK, message=f"No key matches {globs}.", value=0, unit="keys")
    ours = [matching(glob.encode()) for glob in chosen_patterns(target)]
    cached = [
        row
        for row in rows
        if not row["of_queues"]
        and (not ours or any(one.match(row["family"].encode()) for one in ours))
    ]
    lasting = sum(row["without_ttl"] for row in cached)
    count = sum(row["keys"] for row in rows)
    about = "" if drawn.factor == 1 else "about "
    sampled = f"{len(drawn.facts):,} sampled"
    message = f"Redis holds {about}{count:,} keys in {len(rows):,} families ({sampled})"
    status = Status.OK
    if lasting >= _MANY and lasting > _MUCH * sum(row["keys"] for row in cached):
        status = Status.WARN
        most = max(cached, key=lambda row: int(row["without_ttl"]))
        message += (
            f"; {about}{lasting:,} of the cache never expire, most of them {most['family']}: "
            "let the service set a time to live"
        )
    if any(fact.bytes is None for fact in drawn.facts):
        message += "; sizes are missing, as MEMORY USAGE is not permitted"
    return Finding(
        status=status,
        message=f"{message}.",
        value=count,
        unit="keys",
        rows=_few(rows),
    )


def family_rows(target: Target, pattern: str = "*", *, db: str = "") -> list[Row]:
    """Families of the keys that match"""
    return _few(_rows(_draw(target, pattern, _SAMPLE, db), target))


@dataclass(frozen=True)
class _Drawn:
    """The keys that were looked at."""

    facts: list[KeyFacts]
    factor: float
    """How many keys of the database one of them stands for; 1 when all were looked at."""


def _draw(target: Target, pattern: str, sample: int, db: str) -> _Drawn:
    with connection(target) as client:
        known_info(target, client)
        number = chosen_database(target, client, db)
    globs = _globs(target, pattern)
    everything = "*" in globs
    keys: dict[bytes, None] = {}  # a SCAN may return a key twice
    looked_at, whole = 0, True
    ends = time.monotonic() + _SAMPLING_S
    with connection(target, db=number, decode=False) as client:
        total = int(client.dbsize())
        encoded = [glob.encode() for glob in globs]
        for batch, count in scan_all(client, None if everything else encoded):
            keys.update(dict.fromkeys(batch))
            looked_at += len(batch) if everything else count
            if len(keys) >= sample or time.monotonic() > ends:
                whole = False
                break
        hidden: list[bytes] = []
        facts = describe(client, list(keys), hidden=hidden)
    _tell_of(target, hidden)
    return _Drawn(facts, 1.0 if whole else max(1.0, total / looked_at))


def _tell_of(target: Target, hidden: Sequence[bytes]) -> None:
    """Say which keys the login may not read; those of other applications decide nothing."""
    if not hidden:
        return
    user = server_of(target).login
    gap = (
        f"{len(hidden):,} keys that user '{user}' may not read, such as "
        f"{text(min(hidden))}; let it: ACL SETUSER {user} allkeys"
    )
    ours = [matching(glob.encode()) for glob in chosen_patterns(target)]
    if ours and not any(one.match(key) for one in ours for key in hidden):
        evidence.without(gap)
    else:
        evidence.partial(gap)


def _globs(target: Target, pattern: str) -> tuple[str, ...]:
    """Return the globs that are meant."""
    return (pattern,) if pattern else Cache.of(target).patterns or ("*",)


def _rows(drawn: _Drawn, target: Target) -> list[Row]:
    """Return a row for each family, the largest first."""
    queues = queue_prefix(target).decode()
    members: dict[str, list[KeyFacts]] = defaultdict(list)
    for fact in drawn.facts:
        members[_family(fact.name, queues)].append(fact)
    rows = [_row(name, group, drawn.factor, queues) for name, group in members.items()]
    return sorted(rows, key=lambda row: -int(row["keys"]))


def _family(key: str, queues: str) -> str:
    """Return the family of `key`; all keys of one queue are one family."""
    if key.startswith(queues):
        return f"{queues}{key.removeprefix(queues).partition(':')[0]}:*"
    return family(key)


def _row(name: str, group: list[KeyFacts], factor: float, queues: str) -> Row:
    ttls = [fact.ttl_s for fact in group if fact.ttl_s is not None]
    sizes = [fact.bytes for fact in group if fact.bytes is not None]
    kib = sum(sizes) * factor / 1024
    return {
        "family": name,
        "keys": round(len(group) * factor),
        "KiB": round(kib, 1) if sizes else None,
        "with_ttl": round(len(ttls) * factor),
        "without_ttl": round((len(group) - len(ttls)) * factor),
        "shortest_ttl": lifetime(min(ttls)) if ttls else "",
        "median_ttl": lifetime(median(ttls)) if ttls else "",
        "longest_ttl": lifetime(max(ttls)) if ttls else "",
        "of_queues": name.startswith(queues),
    }


def _few(rows: list[Row]) -> list[Row]:
    """Return the largest families, and one row for all others."""
    if len(rows) <= _SHOWN:
        return rows
    others = rows[_SHOWN - 1 :]
    summed = {
        column: round(sum(row[column] or 0 for row in others), 1)
        for column in ("keys", "KiB", "with_ttl", "without_ttl")
    }
    return [*rows[: _SHOWN - 1], {"family": f"({len(others):,} others)", **summed}]
