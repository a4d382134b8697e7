"""Purge a queue, within a bound."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

from opsnb.actions.action import CannotTell, Permit, Plan, action
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import ActionRecord, Finding, Status
from opsnb_rabbitmq.connection import SYSTEM, connection, writing
from opsnb_rabbitmq.listing import Queue, read_one
from opsnb_rabbitmq.settings import RabbitMQ

_BATCH = 100
_SETTLES_WITHIN_S = 15.0  # RabbitMQ collects its statistics every 5 s
_POLL_S = 0.5


@action(needs=(SYSTEM,))
def purge(target: Target, former: ActionRecord | None, queue: str, most: int = 1000) -> Plan:
    """Purge a queue of RabbitMQ

    Removes the oldest messages that are ready, at most `most` and never more than the plan counts.
    Messages that a consumer holds stay. Raises UsageError for an unknown queue.
    """
    if former:  # a batch may have been removed without its answer; newer ones take their place
        raise CannotTell("RabbitMQ does not number the messages of a queue.")
    before, ready = _read(target, queue)
    planned = min(ready, most)
    oldest = f"Remove the oldest {planned:,} of {ready:,} messages that are ready in {queue}."

    def work(permit: Permit) -> Iterator[int]:
        done = 0
        with writing(target, permit) as rabbitmq:
            while done < planned:
                clock = time.perf_counter()
                taken = rabbitmq.take(queue, min(_BATCH, planned - done))
                done += taken
                yield done
                if not taken:
                    return  # consumers were quicker
                # As long a rest as the batch took leaves RabbitMQ to others half of the time.
                time.sleep(time.perf_counter() - clock)

    return Plan(
        summary=oldest if ready else f"No messages are ready in {queue}.",
        planned=planned,
        unit="messages",
        command=shlex.join(["rabbitmqctl", "purge_queue", queue, "-p", RabbitMQ.of(target).vhost]),
        undo="",
        work=work,
        verify=lambda: [_effect(target, queue, ready, ready - planned)],
        basis=queue,
        warning=_warning(before, ready - planned),
        refusal=_refusal(before),
    )


def _read(target: Target, name: str) -> tuple[Queue, int]:
    """Return a queue, and how many of its messages are ready. Raises BadAnswer, UsageError."""
    with connection(target) as rabbitmq:
        queue = read_one(rabbitmq, name)
    if queue.ready is None:
        raise BadAnswer(SYSTEM, f"RabbitMQ has no statistics of {name}, which may hold messages.")
    return queue, queue.ready


def _refusal(queue: Queue) -> str:
    if queue.type == "stream":
        return f"{queue.name} is a stream, which is shortened by its retention; set max-age."
    if queue.exclusive:
        return f"{queue.name} belongs to one connection alone; end that connection."
    return ""


def _warning(queue: Queue, left: int) -> str:
    words = []
    if left:
        words.append(f"{left:,} newer messages stay; raise most to remove them too.")
    if queue.unacked:
        words.append(f"Consumers hold {queue.unacked:,} more, which stay.")
    return " ".join(words)


def _effect(target: Target, queue: str, before: int, left: int) -> Finding:
    """Wait until the statistics show what was removed, and say whether they do."""
    ends = time.monotonic() + _SETTLES_WITHIN_S
    while True:
        _, now = _read(target, queue)
        if now <= left or time.monotonic() > ends:
            break
        time.sleep(_POLL_S)
    message = f"{queue} has {now:,} messages ready; before the purge it had {before:,}."
    if now <= left:
        return Finding(status=Status.OK, message=message)
    if now < before:
        message += " Newer messages have arrived, or some were not removed."
        return Finding(status=Status.UNKNOWN, message=message)
    return Finding(status=Status.CRIT, message=message)
