"""The families of keys: how many, how large, how long they live."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.systems.cache.connecting import Connection, connection
from opsnb.systems.cache.info import chosen_database, known_info
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
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.cache.settings import Cache
from opsnb.systems.cache.tallies import scan_all
from opsnb.view.formats import counted

_SAMPLE = 5000
_SAMPLING_S = 8.0
_SHOWN = 15
_MANY, _MUCH = 1000, 0.1  # keys that never expire: fewer, or a smaller share, are no leak


@check(needs=(SYSTEM,), limit_s=30, treated_by="the service has to set a time to live")
def families(target: Target, pattern: str = "*", *, sample: int = _SAMPLE, db: str = "") -> Finding:
    """Families of keys.

    From `sample` keys that match the glob, in the order of the server's hash table, which is as
    good as random; counts and sizes are extrapolated from them. An empty glob means the cache's
    own patterns. Keys of the cache that never expire are a leak. Keys of queues are not judged, and
    neither are those outside `[targets.NAME.cache] patterns` where it is set. `db` is the number of
    the database; empty is the one of redis_url.
    """
    wanted = _wanted(target, pattern)
    with connection(target) as client:
        drawn = _draw(client, wanted, sample, db)
    rows = _rows(drawn, wanted.queues)
    if not rows:
        globs = " or ".join(wanted.globs)
        return Finding(status=Status.OK, message=f"No key matches {globs}.", value=0, unit="keys")
    cached = [
        row for row in rows if not row["of_queues"] and wanted.is_cache(row["family"].encode())
    ]
    lasting = sum(row["without_ttl"] for row in cached)
    count = sum(row["keys"] for row in rows)
    about = "" if drawn.factor == 1 else "about "
    message = (
        f"Redis holds {about}{counted(count, 'key')} in "
        f"{counted(len(rows), 'family', 'families')} ({len(drawn.facts):,} sampled)"
    )
    status = Status.OK
    if lasting >= _MANY and lasting > _MUCH * sum(row["keys"] for row in cached):
        status = Status.WARN
        most = max(cached, key=lambda row: int(row["without_ttl"]))
        message += (
            f"; {about}{lasting:,} keys of the cache never expire, most of them {most['family']}: "
            "let the service set a time to live"
        )
    if any(fact.bytes is None for fact in drawn.facts):
        message += "; sizes are missing, because MEMORY USAGE is not permitted"
    return Finding(status=status, message=f"{message}.", value=count, unit="keys", rows=_few(rows))


def family_rows(target: Target, pattern: str = "*", *, db: str = "") -> list[Row]:
    """Families of the keys that match"""
    wanted = _wanted(target, pattern)
    with connection(target) as client:
        return _few(_rows(_draw(client, wanted, _SAMPLE, db), wanted.queues))


@dataclass(frozen=True)
class _Wanted:
    """Which keys to read, and what they count as."""

    globs: tuple[str, ...]
    cache: list[re.Pattern[bytes]]
    """The expressions that match cache keys; empty where `opsnb.toml` has no patterns."""
    queues: str
    """The prefixes of the queues' keys."""

    def is_cache(self, key: bytes) -> bool:
        """Whether a key counts as cache."""
        return not self.cache or any(one.match(key) for one in self.cache)


def _wanted(target: Target, pattern: str) -> _Wanted:
    """Return the keys that `pattern` matches; the cache's own patterns if it is empty."""
    globs = (pattern,) if pattern else Cache.of(target).patterns or ("*",)
    cache = [matching(glob.encode()) for glob in chosen_patterns(target)]
    return _Wanted(globs, cache, queue_prefix(target))


@dataclass(frozen=True)
class _Drawn:
    """The keys of the sample."""

    facts: list[KeyFacts]
    factor: float
    """How many keys of the database one of them stands for; 1 when the sample is all of them."""


def _draw(client: Connection, wanted: _Wanted, sample: int, db: str) -> _Drawn:
    """Return up to `sample` keys of the database `db`."""
    known_info(client)
    database = client.raw(chosen_database(client, db))
    everything = "*" in wanted.globs
    keys: dict[bytes, None] = {}  # a SCAN may return a key twice
    read, whole = 0, True
    ends = time.monotonic() + _SAMPLING_S
    total = int(database.dbsize())
    encoded = None if everything else [glob.encode() for glob in wanted.globs]
    for batch, count in scan_all(database, encoded):
        keys.update(dict.fromkeys(batch))
        read += len(batch) if everything else count
        if len(keys) >= sample or time.monotonic() > ends:
            whole = False
            break
    hidden: list[bytes] = []
    facts = describe(database, list(keys), hidden=hidden)
    _report(hidden, wanted, client.login)
    return _Drawn(facts, 1.0 if whole else max(1.0, total / read))


def _report(hidden: Sequence[bytes], wanted: _Wanted, user: str) -> None:
    """Report the keys that the login may not read; those of other applications decide nothing."""
    if not hidden:
        return
    gap = (
        f"{len(hidden):,} keys that user '{user}' may not read, such as "
        f"{text(min(hidden))}; let it: ACL SETUSER {user} allkeys"
    )
    decides = any(wanted.is_cache(key) for key in hidden)
    (evidence.partial if decides else evidence.without)(gap)


def _rows(drawn: _Drawn, queues: str) -> list[Row]:
    """Return a row for each family, the largest first."""
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
