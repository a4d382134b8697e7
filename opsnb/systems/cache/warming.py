"""Warming the cache up: by the API, by a command on the host, or directly from the database."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused
from opsnb.machine.waiting import attempts
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.params import WarmVia
from opsnb.systems import api
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.connecting import Connection, connection
from opsnb.systems.cache.info import demand_writable, known_info
from opsnb.systems.cache.keyspace import describe, to_live_s
from opsnb.systems.cache.projects import NOTHING_DONE, PROJECTS, SHOWN_KEYS, write_directly
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.cache.settings import Cache
from opsnb.systems.cache.tallies import scan_all
from opsnb.systems.host import host_of
from opsnb.view import commands
from opsnb.view.formats import span

_WARMING_S = 60.0  # the service answers when it has written everything
_GOING_ON_S = 30.0  # after 202, which says that it has only begun
_POLL_S = 0.5
_COUNTING_S = 5.0


def is_warmed_directly(target: Target) -> bool:
    """Whether the target caches projects as the handbook's service does."""
    return PROJECTS in Cache.of(target).patterns


@action(needs=(SYSTEM,))
def warm_up(
    target: Target, former: ActionRecord | None, projects: int = 100, *, via: WarmVia = "api"
) -> Plan:
    """Warm the cache up.

    Via `api` the service decides what it loads: `[targets.NAME.cache] warm_up` names a path of the
    API or a command on the host. `direct` suits a service like the handbook's: it writes the first
    `projects` from PostgreSQL as `project:<id>`, in JSON, to live for 15 minutes.
    """
    how = Cache.of(target).warm_up
    if via == "api" and not how:
        raise Refused(
            f"Refused, nothing changed: target {target.name} has no warm-up; set warm_up in "
            f"[targets.{target.name}.cache] to a path of its API or to a command."
        )
    if via == "direct" and not is_warmed_directly(target):
        raise Refused(
            "Refused, nothing changed: via=direct writes project:<id> keys, like the handbook's "
            f"service, and the cache of target {target.name} holds "
            f"{', '.join(Cache.of(target).patterns) or 'no such keys'}."
        )
    patterns = Cache.of(target).patterns
    with connection(target) as client:
        info = known_info(client)
        demand_writable(info)
        before = None if via == "direct" else _cached(client.raw(), patterns)
    if before is None:
        return write_directly(target, projects, info.get("run_id"))
    if isinstance(how, str) and how.startswith("/"):
        way = _by_api(target, how)
    else:
        way = _by_command(target, shlex.split(how) if isinstance(how, str) else how)
    # What an interrupted run did cannot be seen from what was there before this one.
    done = [True] if former else []
    baseline = None if former else before

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        done.append(not way.ask())
        yield 1

    def verify() -> list[Finding]:
        if not done:
            return [NOTHING_DONE]
        with connection(target) as client:
            database = client.raw()
            for _ in attempts(0 if all(done) else _GOING_ON_S, _POLL_S):
                effect = _seen(baseline, _cached(database, patterns))
                if effect.status is Status.OK:
                    break
        return [effect]

    return Plan(
        summary=f"Ask {way.whom} to load its critical data into the cache, which holds "
        f"{before.words()} now.{way.note}",
        planned=1,
        unit=way.unit,
        command=way.command,
        undo=commands.run("cache/clear", target, apply=True),
        work=work,
        verify=verify,
        sample=before.sample,
        basis=info.get("run_id"),
    )


@dataclass(frozen=True)
class _Way:
    """How the service is asked to warm its cache."""

    whom: str
    ask: Callable[[], bool]
    """Asks, and returns whether the service goes on with it after its answer."""
    command: str
    unit: str
    note: str = ""


def _by_api(target: Target, path: str) -> _Way:
    if Api.of(target).health:
        api.health(target)  # an API that is down stops the plan, not the work
    patient = target.model_copy(update={"time_limit_s": _WARMING_S})

    def ask() -> bool:
        with api.client(patient) as http:
            answer = http.post(path)
        if answer.is_success:
            return answer.status_code == httpx.codes.ACCEPTED
        fix = "check the API's log"
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
            fix = (
                "the API has no such path; set warm_up in "
                f'[targets.{target.name}.cache], "" if there is none'
            )
        if is_warmed_directly(target):
            fix += ", or warm the cache directly with -p via=direct"
        raise BadAnswer(api.SYSTEM, f"POST {path} answered {answer.status_code}: {fix}.")

    return _Way(
        "the API",
        ask,
        command=f"curl -X POST {Api.of(target).url.rstrip('/')}{path}",
        unit="requests",
        note=f" Only --apply shows whether the API has {path}.",
    )


def _by_command(target: Target, command: Sequence[str]) -> _Way:
    def run() -> bool:
        host_of(target, SYSTEM, _WARMING_S + 1).run(command, _WARMING_S)
        return False

    return _Way("the service", run, command=shlex.join(command), unit="commands")


@dataclass(frozen=True)
class _Cached:
    """What the cache holds of the keys that count as cache."""

    globs: str
    keys: int
    expiring: int
    """Those with a time to live."""
    longest_s: float
    lives_s: float
    """The sum of the times to live: it grows when keys are written again."""
    complete: bool
    sample: list[Row]

    def has_more_than(self, before: _Cached) -> bool:
        return self.keys > before.keys or self.lives_s > before.lives_s

    def words(self) -> str:
        least = "" if self.complete else "at least "
        return f"{least}{self.keys:,} keys ({self.globs})"


def _cached(client: Connection, patterns: tuple[str, ...]) -> _Cached:
    """Count the keys that match `patterns`, all of them if empty, by a scan of a few seconds."""
    keys, expiring, longest_s, sum_s, complete = 0, 0, 0.0, 0.0, True
    sample: list[bytes] = []
    globs = [pattern.encode() for pattern in patterns]
    ends = time.monotonic() + _COUNTING_S
    for batch, _ in scan_all(client, globs or None):
        lives = to_live_s(client, batch)
        left = [seconds for seconds in lives if seconds > 0]
        keys += sum(seconds != _GONE_S for seconds in lives)
        expiring, longest_s = expiring + len(left), max([longest_s, *left])
        sum_s += sum(left)
        sample += batch[: SHOWN_KEYS - len(sample)]
        if time.monotonic() > ends:
            complete = False
            break
    rows = [fact.row() for fact in describe(client, sample)]
    matching = " or ".join(patterns) or "all"
    return _Cached(matching, keys, expiring, longest_s, sum_s, complete, rows)


_GONE_S = -0.002  # the answer of PTTL for a missing key, in seconds


def _seen(before: _Cached | None, after: _Cached) -> Finding:
    """Return what the warm-up did to the cache."""
    lives = f", for {span(after.longest_s)} at most" if after.expiring else ""
    message = f"Cached now: {after.words()}{lives}" + (
        f"; before: {before.keys:,}." if before else "."
    )
    status = Status.OK
    if not after.keys:
        status = Status.CRIT
        message = f"The service reported success, but the cache has no {after.globs} key."
    elif before and after.complete and not after.has_more_than(before):
        status = Status.UNKNOWN
        message += " Nothing shows that the warm-up wrote any."
    return Finding(status=status, message=message, value=after.keys, unit="keys", rows=after.sample)
