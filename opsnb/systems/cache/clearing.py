"""Clearing the cache: by pattern, one database, or all of it, without stopping the server.

The handbook's KEYS and FLUSHALL block every client, and FLUSHALL on a shared Redis deletes every
job.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator

from opsnb.actions.action import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import ParameterError
from opsnb.model import ActionRecord, Finding, Row
from opsnb.params import ClearScope
from opsnb.systems.cache.connecting import Connection, connection, writing
from opsnb.systems.cache.info import demand_writable, known_info
from opsnb.systems.cache.keyspace import describe
from opsnb.systems.cache.remaining import COUNTING_S, effect, progress_of
from opsnb.systems.cache.selection import Selection, databases
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.cache.settings import Cache
from opsnb.systems.cache.tallies import Tally, tally
from opsnb.systems.cache.unlinking import unlink
from opsnb.systems.queues.settings import Queues
from opsnb.view import commands
from opsnb.view.formats import counted

_SHOWN_KEYS = 10
_SHOWN_FAMILIES = 3
_SHOWN_PREFIXES = 8

# Families that are not cache, by words in their names.
_NO_CACHE = {
    "sessions": re.compile(r"(?i)\bsess(ion)?s?\b"),
    "locks": re.compile(r"(?i)\b(re?d)?locks?\b|\bmutex\b|\bsemaphore\b"),
    "rate limits": re.compile(r"(?i)\brate[-_ ]?limit|\bthrottl|\brl\b|\blimiter\b"),
    "tokens": re.compile(r"(?i)\btokens?\b|\bcsrf\b|\botps?\b|\bnonces?\b"),
    "carts": re.compile(r"(?i)\b(cart|basket)s?\b"),
}


@action(needs=(SYSTEM,))
def clear(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    pattern: str = "",
    *,
    scope: ClearScope = "pattern",
    db: str = "",
    queue_keys: bool = False,
    other_queues: str = "",
) -> Plan:
    """Clear the cache.

    `scope` is `pattern` (the keys of one database that match the glob), `database` (all keys of
    one) or `all` (every database). An empty pattern means `[targets.NAME.cache] patterns`. `db` is
    the database's number; empty is the one of redis_url. Keys of queues stay, whatever their prefix
    and library; `queue_keys` clears those under the target's own prefix, `other_queues` those under
    the prefixes that it lists, separated by commas. Raises ParameterError when the database does
    not exist or there is no pattern.
    """
    patterns = (pattern,) if pattern else Cache.of(target).patterns
    if scope == "pattern" and not patterns:
        raise ParameterError(
            f"The pattern is empty and [targets.{target.name}.cache] names no patterns. Give one, "
            "such as -p pattern='sess:*', or set scope=database."
        )
    own = Queues.of(target).prefix
    others = [prefix for prefix in re.split(r"[,\s]+", other_queues) if prefix]
    with connection(target) as client:
        info = known_info(client)
        demand_writable(info)
        selection = Selection(
            databases(client, scope, db),
            tuple(glob.encode() for glob in patterns) if scope == "pattern" else None,
            "" if queue_keys else own,
            Queues.of(target).names,
            tuple([*others, own] if queue_keys else others),
        )
        tallies, rows, sizes = _count(client, selection)
    count = sum(t.estimate for t in tallies)
    spared = sum((t.spared for t in tallies), Counter[str]())
    progress = progress_of(former)

    def work(permit: Permit) -> Iterator[int]:
        progress.began, progress.ended = time.monotonic(), False
        with writing(target, permit) as client:
            yield from unlink(client, selection)
        progress.ended = True

    def verify() -> list[Finding]:
        with connection(target) as client:
            return [effect(client, selection, progress)]

    return Plan(
        summary=_summary(selection, tallies, count, spared),
        planned=count,
        unit="keys",
        command=_command(scope, selection),
        undo="",
        work=work,
        verify=verify,
        sample=rows,
        bytes=round(count * sum(sizes) / len(sizes)) if sizes else None,
        # Keys come and go all the time; the server and the selection must stay the same.
        basis=(info.get("run_id"), scope, db, selection),
        warning=_warning(target, selection, tallies, count, spared),
    )


def _count(client: Connection, selection: Selection) -> tuple[list[Tally], list[Row], list[int]]:
    """Return the tallies by database, some keys as rows, and the sizes of a sample in bytes."""
    tallies, rows, sizes = [], list[Row](), list[int]()
    for number in selection.databases:
        database = client.raw(number)
        queues = selection.queues(database)
        found = tally(database, selection.patterns, queues, time.monotonic() + COUNTING_S)
        facts = describe(database, found.sample)
        tallies.append(found)
        sizes += [fact.bytes for fact in facts if fact.bytes is not None]
        named = {"db": number} if len(selection.databases) > 1 else {}
        rows += [{**named, **fact.row()} for fact in facts[: _SHOWN_KEYS - len(rows)]]
    return tallies, rows, sizes


def _summary(selection: Selection, tallies: list[Tally], count: int, spared: Counter[str]) -> str:
    if selection.patterns is not None:
        globs = " or ".join(pattern.decode() for pattern in selection.patterns)
        which = f"that match {globs} in database {selection.databases[0]}"
    elif len(selection.databases) == 1:
        which = f"of database {selection.databases[0]}"
    else:
        which = f"of {len(selection.databases)} databases"
    parts = [f"Clear {counted(count, 'key')} {which}."]
    if not count:
        matches = which.removeprefix("that match ")
        parts = [f"No key {which}."]
        if selection.patterns is not None:
            parts = [f"No key matches {matches}."]
    if not all(found.complete for found in tallies):
        seen, total = sum(t.looked_at for t in tallies), sum(t.total for t in tallies)
        parts.append(
            f"The number is an estimate: the count stopped after {COUNTING_S:g} s, at {seen:,} of "
            f"{total:,} keys."
        )
    if spared:
        parts.append(f"{spared.total():,} keys of queues stay ({_prefixes(spared)}).")
    return " ".join(parts)


def _prefixes(spared: Counter[str]) -> str:
    """Return the prefixes of the queues whose keys stay, for a sentence."""
    shown = sorted(spared)[:_SHOWN_PREFIXES]
    more = f" and {len(spared) - len(shown)} more" if len(spared) > len(shown) else ""
    return f"prefix{'es' if len(spared) > 1 else ''} {', '.join(shown)}{more}"


def _command(scope: ClearScope, selection: Selection) -> str:
    if scope == "all":
        return "redis-cli FLUSHALL"
    if scope == "database":
        return f"redis-cli -n {selection.databases[0]} FLUSHDB"
    return "; ".join(
        f'redis-cli KEYS "{pattern.decode()}" | xargs redis-cli DEL'
        for pattern in selection.patterns or ()
    )


def _warning(
    target: Target,
    selection: Selection,
    tallies: list[Tally],
    count: int,
    spared: Counter[str],
) -> str:
    if not count:
        return ""
    warm = ""
    if Cache.of(target).warm_up:
        warm = ": " + commands.run("cache/warm_up", target, apply=True)
    parts = [
        f"The service is slower and queries the database more until the cache is warm again{warm}."
    ]
    if selection.patterns is None and (lost := _no_cache(tallies)):
        parts.insert(0, f"This clears more than cache: {lost}.")
    if selection.cleared_prefixes:
        named = ", ".join(selection.cleared_prefixes)
        parts.insert(0, f"This clears keys of queues too ({named}) and deletes their jobs.")
    if spared:
        parts.append("The handbook's command would delete the queues' keys too.")
    return " ".join(parts)


def _no_cache(tallies: list[Tally]) -> str:
    """Return the families that do not look like cache, for a sentence."""
    families = sum((found.families for found in tallies), Counter[str]())
    lost = []
    for what, words in _NO_CACHE.items():
        names = [name for name in families if words.search(name.replace("_", " "))]
        if names:
            some = ", ".join(names[:_SHOWN_FAMILIES])
            more = f" and {len(names) - _SHOWN_FAMILIES} more" * (len(names) > _SHOWN_FAMILIES)
            lost.append(f"{what} ({some}{more})")
    return ", ".join(lost)
