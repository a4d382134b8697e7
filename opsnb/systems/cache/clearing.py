"""Clearing the cache: by pattern, one database, or all of it, without stopping the server.

The handbook's KEYS and FLUSHALL block everybody, and FLUSHALL on a shared Redis loses every job.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import redis

from opsnb.errors import ParameterError
from opsnb.guard import Permit, Plan, action
from opsnb.model import ActionRecord, Finding, Row, Status, now
from opsnb.systems.cache.connection import (
    chosen_database,
    connection,
    demand_writable,
    filled_databases,
    read_info,
    writing,
)
from opsnb.systems.cache.keyspace import (
    SCAN_COUNT,
    Tally,
    describe,
    queue_prefix,
    scan,
    tally,
)
from opsnb.systems.cache.server import SYSTEM
from opsnb.target import Target

Scope = Literal["pattern", "database", "all"]

_COUNTING_S = 15.0  # a count that takes longer is given as an estimate
_SHOWN_KEYS = 10
_CLOCK_TICK_S = 1.5  # the server counts idle time in whole seconds, of a clock that ticks slowly


@dataclass(frozen=True)
class _Selection:
    """Which keys are to be cleared."""

    databases: tuple[int, ...]
    pattern: bytes | None
    """None: whatever is in the databases."""
    spare: bytes | None
    """Keys that start with this are left alone."""


@action(needs=(SYSTEM,), resumable=True)
def clear(  # noqa: PLR0913 - what a runbook can choose by
    target: Target,
    former: ActionRecord | None,
    pattern: str = "gemini:*",
    *,
    scope: Scope = "pattern",
    db: str = "",
    queue_keys: bool = False,
) -> Plan:
    """Clear the cache.

    `scope` is `pattern` (the keys of one database that match the glob), `database` (all keys of
    one) or `all` (every database). `db` is the database's number; empty is the one of redis_url.
    Keys of BullMQ queues are left alone unless `queue_keys`. Raises ParameterError when the
    database does not exist or the pattern is empty.
    """
    if scope == "pattern" and not pattern:
        raise ParameterError(
            "The pattern is empty; name the keys, such as gemini:*, or set scope=database."
        )
    with connection(target) as client:
        info = read_info(client)
        demand_writable(info)
        selection = _Selection(
            _databases(target, client, scope, db),
            pattern.encode() if scope == "pattern" else None,
            None if queue_keys else queue_prefix(target),
        )
    tallies, rows, sizes = _look(target, selection)
    count, spared = sum(t.estimate for t in tallies), sum(t.spared for t in tallies)
    course = _course_of(former)

    def work(permit: Permit) -> Iterator[int]:
        course.began, course.ended = time.monotonic(), False
        yield from _clear(target, permit, selection)
        course.ended = True

    return Plan(
        summary=_summary(selection, tallies, count, spared),
        planned=count,
        unit="keys",
        command=_command(scope, selection, pattern),
        undo="",
        work=work,
        verify=lambda: [_effect(target, selection, course)],
        sample=rows,
        bytes=round(count * sum(sizes) / len(sizes)) if sizes else None,
        # Keys come and go all the time; the server and what is selected on it must not.
        basis=(info.get("run_id"), scope, db, selection.pattern, selection.spare),
        warning=_warning(target, queue_keys, count, spared),
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
    ends = time.monotonic() + _COUNTING_S
    for number in selection.databases:
        with connection(target, db=number, decode=False) as client:
            found = tally(client, selection.pattern, selection.spare, ends)
            facts = describe(client, found.sample)
        tallies.append(found)
        sizes += [fact.bytes for fact in facts if fact.bytes is not None]
        named = {"db": number} if len(selection.databases) > 1 else {}
        rows += [{**named, **fact.row()} for fact in facts[: _SHOWN_KEYS - len(rows)]]
    return tallies, rows, sizes


def _summary(selection: _Selection, tallies: list[Tally], count: int, spared: int) -> str:
    if selection.pattern is not None:
        which = f"that match {selection.pattern.decode()} in database {selection.databases[0]}"
    elif len(selection.databases) == 1:
        which = f"of database {selection.databases[0]}"
    else:
        which = f"of {len(selection.databases)} databases"
    parts = [f"Clear {count:,} keys {which}."]
    if not count:
        parts = ["There is nothing to clear."]
    if not all(found.complete for found in tallies):
        seen, total = sum(t.looked_at for t in tallies), sum(t.total for t in tallies)
        parts.append(
            f"The number is an estimate: the count ended after {_COUNTING_S:g} s, at {seen:,} of "
            f"{total:,} keys."
        )
    if spared:
        parts.append(f"{spared:,} keys of queues that were counted too are left alone.")
    return " ".join(parts)


def _command(scope: Scope, selection: _Selection, pattern: str) -> str:
    if scope == "all":
        return "redis-cli FLUSHALL"
    if scope == "database":
        return f"redis-cli -n {selection.databases[0]} FLUSHDB"
    return f'redis-cli KEYS "{pattern}" | xargs redis-cli DEL'


def _warning(target: Target, queue_keys: bool, count: int, spared: int) -> str:
    if not count:
        return ""
    parts = [
        "The service is slower and asks the database more until the cache is warm again: "
        f"opsnb run cache/warm_up -t {target.name} --apply."
    ]
    if queue_keys:
        parts.insert(0, "queue_keys is set: keys of BullMQ are cleared too, and their jobs lost.")
    elif spared:
        parts.append("The handbook's command would take the queues' keys as well.")
    return " ".join(parts)


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
        self._client.ping()
        return time.perf_counter() - clock


def _clear(target: Target, permit: Permit, selection: _Selection) -> Iterator[int]:
    """Unlink the keys in batches; yield how many are gone so far."""
    done = 0
    for number in selection.databases:
        with (
            connection(target) as watch,
            writing(target, permit, db=number) as client,
        ):
            for removed in _unlink_all(client, selection, _Pace(watch)):
                done += removed
                yield done


_UNLINK = """
local found = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2], unpack(ARGV, 4))
local spare, ours, removed = ARGV[3], {}, 0
for _, key in ipairs(found[2]) do
  if spare == '' or string.sub(key, 1, #spare) ~= spare then
    ours[#ours + 1] = key
  end
end
for first = 1, #ours, 1000 do
  removed = removed + redis.call('UNLINK', unpack(ours, first, math.min(first + 999, #ours)))
end
return {found[1], removed}
"""
"""Looks at some keys from a cursor on and unlinks those that are meant.

In the server, because carrying a million names here and back takes longer than removing them.
"""


def _unlink_all(client: redis.Redis, selection: _Selection, pace: _Pace) -> Iterator[int]:
    """Yield how many keys went with each batch.

    A SCAN returns every key that was there all the time, whatever is removed meanwhile.
    """
    match = [] if selection.pattern is None else [b"MATCH", selection.pattern]
    cursor = b"0"
    while True:
        answer: Any = client.eval(_UNLINK, 0, cursor, pace.batch, selection.spare or b"", *match)
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
            for keys in scan(client, selection.pattern):
                ours = _ours(keys, selection)
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


def _ours(keys: list[bytes], selection: _Selection) -> list[bytes]:
    spare = selection.spare
    return [key for key in keys if not (spare and key.startswith(spare))]


def _idle_s(client: redis.Redis, keys: list[bytes]) -> list[int] | None:
    """Return for how long each of `keys` has not been used; None where the server does not tell."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.object("IDLETIME", key)
    replies = pipeline.execute(raise_on_error=False) if keys else []
    if any(isinstance(reply, redis.ResponseError) for reply in replies):
        return None
    return [int(reply or 0) for reply in replies]
