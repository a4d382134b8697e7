"""What is checked of RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Iterable
from fnmatch import fnmatchcase

from pydantic import BaseModel

from opsnb.checks import evidence
from opsnb.checks.check import check, treated_by, treated_rows
from opsnb.config.target import Target
from opsnb.errors import BadAnswer
from opsnb.model import Finding, Row, Status
from opsnb.view.formats import and_list
from opsnb_rabbitmq.connection import SYSTEM, connection
from opsnb_rabbitmq.listing import Queue, read_all
from opsnb_rabbitmq.settings import RabbitMQ


class _Overview(BaseModel):
    rabbitmq_version: str
    cluster_name: str = ""


class _Node(BaseModel):
    """Of a node that is down RabbitMQ reports nothing but its name."""

    name: str
    running: bool
    mem_alarm: bool | None = None
    disk_free_alarm: bool | None = None


@check(
    probes=SYSTEM,
    treated_by=treated_by("incidents/service_down", "finds what is down; with --apply starts it"),
)
def ping(target: Target) -> Finding:
    """RabbitMQ connection"""
    with connection(target) as rabbitmq:
        clock = time.perf_counter()
        overview = rabbitmq.read("overview", _Overview)
        took_ms = (time.perf_counter() - clock) * 1000
    if overview is None:
        raise BadAnswer(SYSTEM, "GET /api/overview answers 404: this is no management API.")
    return Finding(
        status=Status.OK,
        message=f"RabbitMQ {overview.rabbitmq_version} responded in {took_ms:.0f} ms.",
        value=took_ms,
        unit="ms",
    )


@check(
    needs=(SYSTEM,),
    treated_by=treated_rows(
        "rabbitmq/purge",
        "removes messages that nobody needs; else start its consumers",
        metric="rabbitmq_ready",
        column="ready",
        queue="queue",
    ),
)
def depth(target: Target) -> Finding:
    """Messages ready in RabbitMQ"""
    with connection(target) as rabbitmq:
        found = _counted(read_all(rabbitmq))
    if not found:
        return Finding(status=Status.OK, message="There are no queues.")
    longest = max(found, key=lambda queue: queue.ready or 0)
    return Finding.measured(
        longest.ready or 0,
        target.threshold("rabbitmq_ready"),
        f"{longest.name} has {longest.ready:,} messages ready, the most of {len(found):,} queues.",
        rows=_rows(found),
    )


@check(needs=(SYSTEM,), treated_by="start the consumers of these queues")
def consumers(target: Target) -> Finding:
    """RabbitMQ queues without consumers"""
    with connection(target) as rabbitmq:
        found = _counted(read_all(rabbitmq))
    globs = RabbitMQ.of(target).unconsumed
    needing = [queue for queue in found if not any(fnmatchcase(queue.name, glob) for glob in globs)]
    without = [queue for queue in needing if not queue.consumers]
    if not without:
        message = f"All {len(needing):,} queues have a consumer." if needing else "No queues."
        return Finding(status=Status.OK, message=message, value=0, unit="queues")
    waiting = sum(queue.ready or 0 for queue in without)
    names = and_list([queue.name for queue in without[:3]])
    more = f" and {len(without) - 3:,} more" if len(without) > 3 else ""
    return Finding(
        status=Status.WARN,
        message=f"No consumer: {names}{more}, {waiting:,} messages ready in all.",
        value=len(without),
        unit="queues",
        rows=_rows(without),
    )


@check(
    needs=(SYSTEM,),
    treated_by="free memory or disk on that node: RabbitMQ blocks publishers until then",
)
def alarms(target: Target) -> Finding:
    """RabbitMQ memory and disk alarms"""
    with connection(target) as rabbitmq:
        nodes = rabbitmq.read("nodes", list[_Node]) or []
    raised = []
    for node in nodes:
        known = {"memory": node.mem_alarm, "disk": node.disk_free_alarm}
        raised += [f"{what} on {node.name}" for what, alarm in known.items() if alarm]
        if not node.running:
            evidence.partial(f"alarms of {node.name}, which is down")
        elif None in known.values():
            evidence.partial(f"alarms of {node.name}, which reports none of its statistics")
    if not nodes:
        evidence.partial("alarms: RabbitMQ lists no nodes")
    message = f"Alarm: {and_list(raised)}. Publishers are blocked." if raised else "No alarms."
    return Finding(
        status=Status.CRIT if raised else Status.OK,
        message=message,
        rows=[node.model_dump() for node in nodes],
        value=len(raised),
        unit="alarms",
    )


def queues(target: Target) -> list[Row]:
    """RabbitMQ queues"""
    with connection(target) as rabbitmq:
        return _rows(read_all(rabbitmq))


def queue_names(target: Target) -> list[str]:
    """RabbitMQ queues"""
    with connection(target) as rabbitmq:
        return [queue.name for queue in read_all(rabbitmq)]


def _counted(found: Iterable[Queue]) -> list[Queue]:
    """Return the queues whose numbers are known, reporting the others as gaps."""
    known = []
    for queue in found:
        if queue.ready is None or queue.consumers is None:
            evidence.partial(f"{queue.name}, of which RabbitMQ has no statistics")
        else:
            known.append(queue)
    return known


def _rows(found: Iterable[Queue]) -> list[Row]:
    return [
        {
            "queue": queue.name,
            "ready": queue.ready,
            "unacked": queue.unacked,
            "consumers": queue.consumers,
            "state": queue.state,
        }
        for queue in sorted(found, key=lambda queue: (-(queue.ready or 0), queue.name))
    ]
