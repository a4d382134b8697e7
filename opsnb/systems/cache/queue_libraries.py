"""The keys by which queues are known, of BullMQ and of other libraries."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Bookkeeping of queues: the last part of the key, and the types that it may have.
SURE = {
    b"completed": (b"zset", b"set"),
    b"delayed": (b"zset",),
    b"events": (b"stream",),
    b"failed": (b"zset", b"set"),
    b"prioritized": (b"zset",),
    b"repeat": (b"zset",),
    b"reserved": (b"zset",),
    b"stalled-check": (b"string",),
    b"succeeded": (b"set",),
    b"wait": (b"list",),
    b"waiting": (b"list",),
    b"waiting-children": (b"zset",),
}
_USUAL = {
    b"active": (b"list", b"set"),
    b"id": (b"string",),
    b"jobs": (b"hash", b"zset"),
    b"marker": (b"zset",),
    b"meta": (b"hash",),
    b"meta-paused": (b"string",),
    b"paused": (b"list",),
    b"pc": (b"string",),
    b"priority": (b"zset",),
    b"stalled": (b"set",),
}
PARTS = {**SURE, **_USUAL}


@dataclass(frozen=True)
class Mark:
    """A key that marks queues of a library, and the other keys of these queues."""

    pattern: re.Pattern[bytes]
    """Its first group is the namespace."""
    kind: bytes
    heads: tuple[bytes, ...]
    """The beginnings of keys of queues, after the namespace."""
    exact: tuple[bytes, ...] = ()
    """Whole keys, after the namespace."""
    beside: tuple[bytes, ...] = ()
    """At least one of these must exist too."""


MARKS = (
    Mark(
        re.compile(rb"((?:.*:)?)queues\Z"),  # Sidekiq, Resque
        b"set",
        (b"queue:", b"stat:", b"worker:", b"workers:", b"delayed:"),
        (b"queues", b"retry", b"schedule", b"dead", b"processes", b"failed", b"workers"),
        (b"stat:processed", b"stat:failed", b"processes", b"workers", b"retry", b"schedule"),
    ),
    Mark(
        re.compile(rb"()_kombu\.binding\..*"),  # Celery
        b"set",
        (b"_kombu.", b"celery-task-meta-"),
        (b"unacked", b"unacked_index", b"unacked_mutex"),
    ),
    Mark(re.compile(rb"()rq:queues\Z"), b"set", (b"rq:",)),
    Mark(re.compile(rb"()q:job:types\Z"), b"set", (b"q:",)),  # Kue
    Mark(re.compile(rb"()asynq:queues\Z"), b"set", (b"asynq:",)),
    Mark(re.compile(rb"()arq:queue"), b"zset", (b"arq:",)),
    Mark(re.compile(rb"()dramatiq:"), b"list", (b"dramatiq:",)),
    # Laravel: waiting jobs, and delayed or reserved ones; either may be alone.
    Mark(re.compile(rb"(.*?)queues:[^:]+\Z"), b"list", (b"queues:",)),
    Mark(re.compile(rb"(.*?)queues:[^:]+:(?:delayed|reserved)\Z"), b"zset", (b"queues:",)),
    Mark(
        re.compile(rb"(.*?)horizon:(?:\w+_jobs(?::.*)?|masters|supervisors)\Z"),
        b"zset",
        (b"horizon:",),
    ),
    Mark(re.compile(rb"(.*:)QUEUES\Z"), b"set", (b"",)),  # RSMQ: all of its namespace
    Mark(re.compile(rb"()huey\.redis\."), b"list", (b"huey.",)),
    Mark(re.compile(rb"()huey\.(?:redis|schedule)\."), b"zset", (b"huey.",)),
)
BINDING = b"_kombu.binding."
