"""Clearing the cache: by pattern, one database, or all of it, without stopping the server.

The handbook's KEYS and FLUSHALL block everybody, and FLUSHALL on a shared Redis loses every job.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

import redis

from opsnb.actions.guard import Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import ParameterError, Refused
from opsnb.model import ActionRecord, Finding, Row, Status, now
from opsnb.systems.cache.connection import (
    chosen_database,
    connection,
    demand_writable,
    filled_databases,
    known_info,
    read_info,
    writing,
)
from opsnb.systems.cache.keyspace import SCAN_COUNT, describe
from opsnb.systems.cache.queue_keys import Queues, find_queues
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.cache.tallies import Tally, scan_all, tally
from opsnb.view import commands

Scope = Literal["pattern", "database", "all"]

_COUNTING_S = 15.0  # a count that takes longer is given as an estimate
_FINDING_S = 60.0  # a search for queues that takes longer is no ground to clear upon
_SHOWN_KEYS = 10
_CLOCK_TICK_S = 1.5  # the server counts idle time in whole seconds, of a clock that ticks slowly

# Families that are no cache, by words in their names.
_NO_CACHE = {
    "sessions": re.compile(r"(?i)\bsess(ion)?s?\b"),
    "locks": re.compile(r"(?i)\b(re?d)?locks?\b|\bmutex\b|\bsemaphore\b"),
    "rate limits": re.compile(r"(?i)\brate[-_ ]?limit|\bthrottl|\brl\b|\blimiter\b"),
    "tokens": re.compile(r"(?i)\btokens?\b|\bcsrf\b|\botps?\b|\bnonces?\b"),
    "carts": re.compile(r"(?i)\b(cart|basket)s?\b"),
}


@dataclass(frozen=True)
class _Selection:
    """Which keys are to be cleared."""

    databases: tuple[int, ...]
    patterns: tuple[bytes, ...] | None
    """None: whatever is in the databases."""
    own_prefix: str
    """The prefix of the target's own queues; empty when their keys are cleared too."""
    own_queues: tuple[str, ...]
    """The target's queues that `opsnb.toml` names."""
    cleared_prefixes: tuple[str, ...]
    """Prefixes of queues that are cleared too."""

    def queues(self, client: redis.Redis) -> Queues:
        """Return the queues in a database that are left alone.

        Raises Refused when the database could not be looked through.
        """
        found = find_queues(client, time.monotonic() + _FINDING_S)
        if not found.complete:
            raise Refused(
                f"Refused, nothing changed: the search for queues ended after {_FINDING_S:g} s, at "
                f"{found.looked_at:,} of {client.dbsize():,} keys, so keys of a queue could not be "
                "told from the cache. Run it again when Redis is less busy, or clear families one "
                "by one with redis-cli --scan."
            )
        found = found.without(self.cleared_prefixes)
        # Whatever has the target's own prefix is its queues', unless the pattern goes deeper:
        # then only the queues that are there.
        head = f"{self.own_prefix}:".encode()
        deeper = self.patterns is not None and all(
            _literal_head(pattern).startswith(head) and _literal_head(pattern) != head
            for pattern in self.patterns
        )
        if not self.own_prefix:
            return found
        own = {head + name.encode() + b":" for name in self.own_queues} if deeper else {head}
        return replace(found, names=found.names | own)


def _literal_head(pattern: bytes) -> bytes:
    """Return what a glob begins with, up to its first special character."""
    return re.split(rb"[*?\[\\]", pattern, maxsplit=1)[0]


@action(needs=(SYSTEM,), resumable=True)
def clear(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    pattern: str = "",
    *,
    scope: Scope = "pattern",
    db: str = "",
    queue_keys: bool = False,
    other_queues: str = "",
) -> Plan:
    """Clear the cache.

    `scope` is `pattern` (the keys of one database that match the glob), `database` (all keys of
    one) or `all` (every database). An empty pattern is what `[targets.NAME.cache] patterns` names.
    `db` is the database's number; empty is the one of redis_url. Keys of queues are left alone, of
    any prefix and any library; `queue_keys` takes those of the target's own prefix, `other_queues`
    those of the prefixes that it names, with commas between them. Raises ParameterError when the
    database does not exist or no pattern is known.
    """
    patterns = (pattern,) if pattern else target.cache.patterns
    if scope == "pattern" and not patterns:
        raise ParameterError(
            f"The pattern is empty and [targets.{target.name}.cache] names no patterns; name the "
            "keys, such as -p pattern='sess:*', or set scope=database."
        )
    own = target.queues.prefix
    others = [prefix for prefix in re.split(r"[,\s]+", other_queues) if prefix]
    with connection(target) as client:
        info = known_info(target, client)
        demand_writable(info)
        selection = _Selection(
            _databases(target, client, scope, db),
            tuple(glob.encode() for glob in patterns) if scope == "pattern" else None,
            "" if queue_keys else own,
            target.queues.names,
            tuple([*others, own] if queue_keys else others),
        )
    tallies, rows, sizes = _look(target, selection)
    count = sum(t.estimate for t in tallies)
    spared = sum((t.spared for t in tallies), Counter[str]())
    course = _course_of(former)

    def work(permit: Permit) -> Iterator[int]:
        course.began, course.ended = time.monotonic(), False
        yield from _clear(target, permit, selection)
        course.ended = True

    return Plan(
        summary=_summary(selection, tallies, count, spared),
        planned=count,
        unit="keys",
        command=_command(scope, selection),
        undo="",
        work=work,
        verify=lambda: [_effect(target, selection, course)],
        sample=rows,
        bytes=round(count * sum(sizes) / len(sizes)) if sizes else None,
        # Keys come and go all the time; the server and what is selected on it must not.
        basis=(info.get("run_id"), scope, db, selection),
        warning=_warning(target, selection, tallies, count, spared),
    )


def _databases(target: Target, client: redis.Redis, scope: Scope, db: str) -> tuple[int, ...]:
    """Return the numbers of the databases that are meant. Raises ParameterError."""
    if scope == "all":
        if db:
            raise ParameterError(
                f"scope=all takes every database, and db={db} one; leave db empty or set "
                "scope=database."
            )
        return tuple(filled_databases(read_info(client)))
    return (chosen_database(target, client, db),)


def _look(target: Target, selection: _Selection) -> tuple[list[Tally], list[Row], list[int]]:
    """Return the tallies by database, some keys as rows, and the sizes of a sample in bytes."""
    tallies, rows, sizes = [], list[Row](), list[int]()
    for number in selection.databases:
        with connection(target, db=number, decode=False) as client:
            queues = selection.queues(client)
            ends = time.monotonic() + _COUNTING_S
            found = tally(client, selection.patterns, queues, ends)
            facts = describe(client, found.sample)
        tallies.append(found)
        sizes += [fact.bytes for fact in facts if fact.bytes is not None]
        named = {"db": number} if len(selection.databases) > 1 else {}
        rows += [{**named, **fact.row()} for fact in facts[: _SHOWN_KEYS - len(rows)]]
    return tallies, rows, sizes


def _summary(selection: _Selection, tallies: list[Tally], count: int, spared: Counter[str]) -> str:
    if selection.patterns is not None:
        globs = " or ".join(pattern.decode() for pattern in selection.patterns)
        which = f"that match {globs} in database {selection.databases[0]}"
    elif len(selection.databases) == 1:
        which = f"of database {selection.databases[0]}"
    else:
        which = f"of {len(selection.databases)} databases"
    keys = "1 key" if count == 1 else f"{count:,} keys"
    parts = [f"Clear {keys} {which}."]
    if not count:
        matches = which.removeprefix("that match ")
        parts = [f"There is nothing to clear: no key {which}."]
        if selection.patterns is not None:
            parts = [f"There is nothing to clear: no key matches {matches}."]
    if not all(found.complete for found in tallies):
        seen, total = sum(t.looked_at for t in tallies), sum(t.total for t in tallies)
        parts.append(
            f"The number is an estimate: the count ended after {_COUNTING_S:g} s, at {seen:,} of "
            f"{total:,} keys."
        )
    if spared:
        parts.append(f"{spared.total():,} keys of queues are left alone ({_prefixes(spared)}).")
    return " ".join(parts)


def _prefixes(spared: Counter[str]) -> str:
    """Return the prefixes of the queues whose keys are left alone, for people."""
    shown = sorted(spared)[:_SHOWN_PREFIXES]
    more = f" and {len(spared) - len(shown)} more" if len(spared) > len(shown) else ""
    return f"prefix{'es' if len(spared) > 1 else ''} {', '.join(shown)}{more}"


_SHOWN_PREFIXES = 8


def _command(scope: Scope, selection: _Selection) -> str:
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
    selection: _Selection,
    tallies: list[Tally],
    count: int,
    spared: Counter[str],
) -> str:
    if not count:
        return ""
    warm = ""
    if target.cache.warm_up:
        warm = ": " + commands.run("cache/warm_up", target, apply=True)
    parts = [
        f"The service is slower and asks the database more until the cache is warm again{warm}."
    ]
    if selection.patterns is None and (lost := _no_cache(tallies)):
        parts.insert(0, f"Not only cache is cleared: {lost}.")
    if selection.cleared_prefixes:
        named = ", ".join(selection.cleared_prefixes)
        parts.insert(0, f"Keys of queues are cleared too ({named}), and their jobs are lost.")
    if spared:
        parts.append("The handbook's command would take the queues' keys as well.")
    return " ".join(parts)


def _no_cache(tallies: list[Tally]) -> str:
    """Return the families that look like something else than cache, for people."""
    families = sum((found.families for found in tallies), Counter[str]())
    lost = []
    for what, words in _NO_CACHE.items():
        names = [name for name in families if words.search(name.replace("_", " "))]
        if names:
            some = ", ".join(names[:_SHOWN_FAMILIES])
            more = f" and {len(names) - _SHOWN_FAMILIES} more" * (len(names) > _SHOWN_FAMILIES)
            lost.append(f"{what} ({some}{more})")
    return ", ".join(lost)


_SHOWN_FAMILIES = 3


@dataclass
class _Course:
    """When the work began, on the monotonic clock, and whether it came to its end."""

    began: float = 0.0
    ended: bool = False


def _course_of(former: ActionRecord | None) -> _Course:
    """Return that of a clear which a continued run had begun, and left nothing to be done of."""
    if not (former and former.started):
        return _Course()
    return _Course(time.monotonic() - (now() - former.started).total_seconds(), ended=True)


class _Pace:
    """How many keys to take at once, so that others wait no longer than the server lets them.

    It asks for PONG on a connection of its own, as any other client does. The median of the last
    three counts: one late answer may be this machine's own.
    """

    _EVERY_S = 0.05
    _SLACK_S = 0.006
    _LONGEST_REST_S = 0.5
    _LEAST, _MOST = 200, SCAN_COUNT

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._idle_s = median(self._ping_s() for _ in range(15))
        self._waits_s = deque([self._idle_s] * 3, maxlen=3)
        self._due = time.monotonic() + self._EVERY_S
        self.batch = self._MOST

    def adapt(self) -> None:
        """Take less and rest when the server answers late, more when it does not."""
        if time.monotonic() < self._due:
            return
        self._waits_s.append(self._ping_s())
        late_s = median(self._waits_s) - self._idle_s
        if late_s > self._SLACK_S:
            self.batch = max(self._LEAST, self.batch // 2)
            time.sleep(min(late_s, self._LONGEST_REST_S))
        else:
            self.batch = min(self._MOST, self.batch * 3 // 2)
        self._due = time.monotonic() + self._EVERY_S

    def _ping_s(self) -> float:
        clock = time.perf_counter()
        with suppress(redis.exceptions.NoPermissionError):  # a refusal takes as long
            self._client.ping()
        return time.perf_counter() - clock


def _clear(target: Target, permit: Permit, selection: _Selection) -> Iterator[int]:
    """Unlink the keys in batches; yield how many are gone so far."""
    # All databases before any: a queue that has come since the plan must stop the whole.
    queues = {}
    for number in selection.databases:
        with connection(target, db=number, decode=False) as client:
            queues[number] = selection.queues(client)
    done = 0
    for number in selection.databases:
        with (
            connection(target) as watch,
            writing(target, permit, db=number) as client,
        ):
            pace = _Pace(watch)
            for pattern in selection.patterns or (None,):
                for removed in _unlink_all(client, pattern, queues[number], pace):
                    done += removed
                    yield done


_UNLINK = """
local at = 3
local function read(place)
  local last = at + tonumber(ARGV[at])
  for n = at + 1, last do place(ARGV[n]) end
  at = last + 1
end
local names, heads, exact = {}, {}, {}
read(function(word) names[word] = true end)
read(function(word) heads[#heads + 1] = word end)
read(function(word) exact[word] = true end)
local function of_queue(key)
  if exact[key] then return true end
  for _, head in ipairs(heads) do
    if string.sub(key, 1, #head) == head then return true end
  end
  local colon = string.find(key, ':', 1, true)
  while colon do
    if names[string.sub(key, 1, colon)] then return true end
    colon = string.find(key, ':', colon + 1, true)
  end
  return false
end
local found
if ARGV[at] then
  found = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2], 'MATCH', ARGV[at])
else
  found = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
end
local ours, removed = {}, 0
for _, key in ipairs(found[2]) do
  if not of_queue(key) then ours[#ours + 1] = key end
end
for first = 1, #ours, 1000 do
  removed = removed + redis.call('UNLINK', unpack(ours, first, math.min(first + 999, #ours)))
end
return {found[1], removed}
"""
"""Looks at some keys from a cursor on and unlinks those that are meant.

In the server, because carrying a million names here and back takes longer than removing them.
"""


def _unlink_all(
    client: redis.Redis, pattern: bytes | None, queues: Queues, pace: _Pace
) -> Iterator[int]:
    """Yield how many keys went with each batch.

    A SCAN returns every key that was there all the time, whatever is removed meanwhile.
    """
    words: Any = [*queues.arguments(), *([] if pattern is None else [pattern])]
    cursor = b"0"
    while True:
        answer: Any = client.eval(_UNLINK, 0, cursor, pace.batch, *words)
        cursor, removed = answer
        yield removed
        if cursor == b"0":
            return
        pace.adapt()


def _effect(target: Target, selection: _Selection, course: _Course) -> Finding:
    """Count what is there now, and tell keys that were left from those that came back."""
    left = old = 0
    since_s = time.monotonic() - course.began
    ends = time.monotonic() + _COUNTING_S
    telling = complete = True
    for number in selection.databases:
        with connection(target, db=number, decode=False) as client:
            queues = selection.queues(client)
            for keys, _ in scan_all(client, selection.patterns):
                ours = [key for key in keys if queues.owner(key) is None]
                idle = _idle_s(client, ours)
                left += len(ours)
                old += sum(seconds > since_s + _CLOCK_TICK_S for seconds in idle or ())
                telling = telling and idle is not None
                if time.monotonic() > ends:
                    complete = False
                    break
    if not course.ended:
        old = left  # nothing has been looked for to its end, so nothing can have come back
    return _judge(left, old, telling, complete)


def _judge(left: int, old: int, telling: bool, complete: bool) -> Finding:
    """Return what the keys that match now say of the effect."""
    if not complete:
        status = Status.CRIT if old else Status.UNKNOWN
        message = (
            f"At least {left:,} keys match now, {old:,} of them older than the clear; the count "
            f"ended after {_COUNTING_S:g} s."
        )
    elif old:
        status, message = Status.CRIT, f"Still there, though to be cleared: {old:,} keys."
    elif not left:
        status, message = Status.OK, "No such key is left."
    elif telling:
        status = Status.OK
        message = f"Keys of that kind: {left:,}, all used since, as the service caches anew."
    else:
        status = Status.UNKNOWN
        message = (
            f"Keys of that kind: {left:,}; the server does not tell whether they were left or came "
            "back (OBJECT IDLETIME is not permitted, or the policy is an LFU one)."
        )
    return Finding(status=status, message=message, value=left, unit="keys")


def _idle_s(client: redis.Redis, keys: list[bytes]) -> list[int] | None:
    """Return for how long each of `keys` has not been used; None where the server does not tell."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.object("IDLETIME", key)
    replies = pipeline.execute(raise_on_error=False) if keys else []
    if any(isinstance(reply, redis.ResponseError) for reply in replies):
        return None
    return [int(reply or 0) for reply in replies]
