"""Warming the cache up: by the API, by a command on the host, or directly from the database."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import httpx

from opsnb.actions.action import Permit, Plan, action, require
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Refused
from opsnb.model import ActionRecord, Finding, Row, Status
from opsnb.systems import api
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.connecting import (
    connection,
    demand_writable,
    known_info,
)
from opsnb.systems.cache.keyspace import describe, to_live_s
from opsnb.systems.cache.projects import NOTHING_DONE, PROJECTS, SHOWN_KEYS, write_directly
from opsnb.systems.cache.server import SYSTEM
from opsnb.systems.cache.settings import Cache
from opsnb.systems.cache.tallies import scan_all
from opsnb.systems.host import host_of
from opsnb.view import commands
from opsnb.view.formats import span

Via = Literal["api", "direct"]


_WARMING_S = 60.0  # the service answers when it has written everything
_GOING_ON_S = 30.0  # after 202, which says that it has only begun
_POLL_S = 0.5
_COUNTING_S = 5.0


def is_warmed_directly(target: Target) -> bool:
    """Whether the target caches projects as the handbook's service does."""
    return PROJECTS in Cache.of(target).patterns


@action(needs=(SYSTEM,))
def warm_up(
    target: Target, former: ActionRecord | None, projects: int = 100, *, via: Via = "api"
) -> Plan:
    """Warm the cache up.

    Via `api` the service decides what it loads: by what `[targets.NAME.cache] warm_up` names, a
    path of the API or a command on the host. `direct` is for a service as the handbook has it: it
    writes the first `projects` from PostgreSQL as `project:<id>`, in JSON, to live for 15 minutes.
    """
    how = Cache.of(target).warm_up
    if via == "api" and not how:
        raise Refused(
            f"Refused, nothing changed: target {target.name} has no warm-up; set warm_up in "
            f"[targets.{target.name}.cache] to a path of its API or to a command."
        )
    if via == "direct" and not is_warmed_directly(target):
        raise Refused(
            "Refused, nothing changed: via=direct writes project:<id> keys, as the handbook's "
            f"service has them, and the cache of target {target.name} holds "
            f"{', '.join(Cache.of(target).patterns) or 'no such keys'}."
        )
    with connection(target) as client:
        info = known_info(target, client)
        demand_writable(info)
    if via == "direct":
        return write_directly(target, projects, info.get("run_id"))
    if isinstance(how, str) and how.startswith("/"):
        return _by_api(target, how, info.get("run_id"), former)
    command = shlex.split(how) if isinstance(how, str) else list(how)
    return _by_command(target, command, info.get("run_id"), former)


def _by_api(target: Target, path: str, server: str | None, former: ActionRecord | None) -> Plan:
    if Api.of(target).health:
        api.health(target)  # an API that is down is told before anything has begun
    patient = target.model_copy(update={"time_limit_s": _WARMING_S})

    def ask() -> bool:
        with api.client(patient) as http:
            answer = http.post(path)
        if answer.is_success:
            return answer.status_code == httpx.codes.ACCEPTED
        fix = "look into the API's log"
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
            fix = (
                "the API has no such path; set warm_up in "
                f'[targets.{target.name}.cache], "" where there is none'
            )
        if PROJECTS in Cache.of(target).patterns:
            fix += ", or warm the cache directly with -p via=direct"
        raise BadAnswer(api.SYSTEM, f"POST {path} answered {answer.status_code}: {fix}.")

    return _asked(
        target,
        "the API",
        ask,
        command=f"curl -X POST {Api.of(target).url.rstrip('/')}{path}",
        unit="requests",
        server=server,
        former=former,
        note=f" Whether the API has {path} shows only with --apply.",
    )


def _by_command(
    target: Target, command: Sequence[str], server: str | None, former: ActionRecord | None
) -> Plan:
    def run() -> bool:
        host_of(target, SYSTEM, _WARMING_S + 1).run(command, _WARMING_S)
        return False

    return _asked(
        target,
        "the service",
        run,
        command=shlex.join(command),
        unit="commands",
        server=server,
        former=former,
        note="",
    )


def _asked(  # noqa: PLR0913 - what the two ways differ in
    target: Target,
    whom: str,
    ask: Callable[[], bool],
    *,
    command: str,
    unit: str,
    server: str | None,
    former: ActionRecord | None,
    note: str,
) -> Plan:
    """Return the plan for a warm-up that the service does itself.

    `ask` returns whether the service goes on with it after its answer.
    """
    before = _cached(target)
    # What an earlier run has done cannot be told from what was there before it.
    done = [True] if former else []
    baseline = None if former else before

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        done.append(not ask())
        yield 1

    def verify() -> Finding:
        if not done:
            return NOTHING_DONE
        ends = time.monotonic() + (0 if all(done) else _GOING_ON_S)
        found = _seen(baseline, _cached(target))
        while found.status is not Status.OK and time.monotonic() < ends:
            time.sleep(_POLL_S)
            found = _seen(baseline, _cached(target))
        return found

    return Plan(
        summary=f"Ask {whom} to load its critical data into the cache, which holds "
        f"{before.words()} now.{note}",
        planned=1,
        unit=unit,
        command=command,
        undo=commands.run("cache/clear", target, apply=True),
        work=work,
        verify=lambda: [verify()],
        sample=before.sample,
        basis=server,
    )


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


def _cached(target: Target) -> _Cached:
    """Count the keys that count as cache, by a scan of a few seconds."""
    keys, expiring, longest_s, sum_s, complete = 0, 0, 0.0, 0.0, True
    sample: list[bytes] = []
    patterns = [pattern.encode() for pattern in Cache.of(target).patterns]
    ends = time.monotonic() + _COUNTING_S
    with connection(target, decode=False) as client:
        for batch, _ in scan_all(client, patterns or None):
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
    globs = " or ".join(Cache.of(target).patterns) or "all"
    return _Cached(globs, keys, expiring, longest_s, sum_s, complete, rows)


_GONE_S = -0.002  # what PTTL says of a key that is not there, in seconds


def _seen(before: _Cached | None, after: _Cached) -> Finding:
    """Return what the warm-up has done to the cache."""
    lives = f", for {span(after.longest_s)} at most" if after.expiring else ""
    message = f"Cached now: {after.words()}{lives}" + (
        f"; before: {before.keys:,}." if before else "."
    )
    status = Status.OK
    if not after.keys:
        status = Status.CRIT
        message = f"The warm-up was answered, but no {after.globs} key is in the cache."
    elif before and after.complete and not after.has_more_than(before):
        status = Status.UNKNOWN
        message += " Nothing shows that the warm-up wrote any of them."
    return Finding(status=status, message=message, value=after.keys, unit="keys", rows=after.sample)
