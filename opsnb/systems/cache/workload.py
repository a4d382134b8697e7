"""Which commands a server runs, and which of them are slow."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import redis

from opsnb.checks import evidence
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.cache.connecting import connection
from opsnb.systems.cache.counters import WATCHING_LIMIT_S
from opsnb.systems.cache.info import server_time_s
from opsnb.systems.cache.keyspace import family
from opsnb.systems.cache.monitor import monitor
from opsnb.systems.cache.server import SYSTEM
from opsnb.view.formats import span

_RECENT_S = 600
_SHOWN = 12


@check(needs=(SYSTEM,), treated_by="the service has to send other commands; the rows show which")
def slow_log(target: Target, limit: int = 50) -> Finding:
    """Slow commands.

    The server's slow log: when, how long, which command on which family of keys. Arguments are
    not shown.
    """
    with connection(target) as client:
        entries = client.slowlog_get(limit)
        now_s = server_time_s(client)
        if _is_off(client):
            evidence.partial("slow commands: the slow log is off (slowlog-log-slower-than)")
        positions = _key_positions(client)
    rows = []
    recent_ms = [0.0]
    for entry in entries:
        words = _words(entry["command"])
        took_ms, ago_s = entry["duration"] / 1000, now_s - entry["start_time"]
        if ago_s <= _RECENT_S:
            recent_ms.append(took_ms)
        rows.append(
            {
                "ago": span(ago_s),
                "ms": round(took_ms, 1),
                "command": words[0].upper(),
                "keys": _family_of(words, positions),
            }
        )
    rows.sort(key=lambda row: -float(row["ms"]))
    worst_ms = max(recent_ms)
    message = f"Redis logged {len(recent_ms) - 1} slow commands in the last 10 minutes"
    if len(recent_ms) > 1:
        message += f", the slowest took {worst_ms:.0f} ms"
    status = target.threshold("redis_command_ms").judge(worst_ms)
    if status is not Status.OK:
        message += "; every client waited for it: find the one that sends it"
    return Finding(
        status=status, message=message + ".", value=round(worst_ms, 1), unit="ms", rows=rows
    )


@check(needs=(SYSTEM,), limit_s=WATCHING_LIMIT_S)
def commands(target: Target, most: int = 1000, seconds: float = 5) -> Finding:
    """Top commands.

    MONITOR shows them until `most` commands or `seconds` have passed. It slows the server down
    while it runs; with `most` 0 it does not start. Of the arguments only the family of the key is
    kept.
    """
    if not most:
        return Finding(status=Status.SKIPPED, message="MONITOR is off (monitor=0).")
    with connection(target) as client:
        positions = _key_positions(client)
        seen: Counter[str] = Counter()
        clock = time.monotonic()
        for _, _, words in monitor(client, most, seconds):
            seen[f"{words[0].upper()} {_family_of(words, positions)}".rstrip()] += 1
        took_s = time.monotonic() - clock
    count = seen.total()
    rows: list[Row] = [
        {"command": command, "count": n, "percent": round(100 * n / count, 1)}
        for command, n in seen.most_common(_SHOWN)
    ]
    message = f"Redis ran {count:,} commands in {took_s:.1f} s"
    if rows:
        message += f"; {rows[0]['percent']:.0f} % of them {rows[0]['command']}"
    return Finding(status=Status.OK, message=message + ".", value=count, unit="commands", rows=rows)


def _key_positions(client: redis.Redis) -> dict[str, int]:
    """Return at which word each command has its first key; empty where COMMAND is not permitted."""
    try:
        found: dict[str, dict[str, Any]] = client.command()
    except redis.ResponseError:
        return {}
    return {name.lower(): int(facts["first_key_pos"]) for name, facts in found.items()}


_SCRIPTS = ("eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro")


def _family_of(words: list[str], positions: dict[str, int]) -> str:
    """Return the family of a command's first key; nothing when it has none that is known."""
    name = words[0].lower()
    at = positions.get(name, 0)
    if name in _SCRIPTS:
        at = 3 if words[2:3] not in ([], ["0"]) else 0
    if not 0 < at < len(words):
        return ""
    key, behind = words[at], " ".join(words[at + 1 :])
    if key.endswith("...") and behind.startswith("("):  # the server cuts what is long
        key = outside.opened(key.removesuffix("..."))
    return family(key)


def _is_off(client: redis.Redis) -> bool:
    """Return whether the slow log is off; False where CONFIG is not permitted."""
    try:
        found: Any = client.config_get("slowlog-*")
    except redis.ResponseError:
        return False
    slower_than, most = (found.get(f"slowlog-{key}") for key in ("log-slower-than", "max-len"))
    return str(slower_than).startswith("-") or str(most) == "0"


def _words(command: Any) -> list[str]:
    """Return a command of the slow log as words."""
    text = command.decode(errors="replace") if isinstance(command, bytes) else str(command)
    return text.split() or [""]
