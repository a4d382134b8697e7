"""A fault to practise on, where `[targets.demo.rabbitmq]` gives the demo a RabbitMQ."""

from __future__ import annotations

from fnmatch import fnmatchcase
from http import HTTPStatus
from urllib.parse import quote

from opsnb.config.file import DEMO, load_target
from opsnb.demo.faults import Fault, see
from opsnb.demo.parts import Parts
from opsnb.errors import DemoError
from opsnb_rabbitmq.connection import Connection, connection
from opsnb_rabbitmq.listing import Queue
from opsnb_rabbitmq.settings import RabbitMQ

QUEUE = "orders.dead"
MESSAGES = 1500


def _demand(_: Parts) -> None:
    settings = RabbitMQ.of(load_target(DEMO))
    if not any(fnmatchcase(QUEUE, glob) for glob in settings.unconsumed):
        raise DemoError(
            "The demo has no RabbitMQ to practise on. Set url in [targets.demo.rabbitmq] of "
            f'opsnb.toml, and unconsumed = ["{QUEUE}"].'
        )


def _fill(_: Parts) -> None:
    message = {
        "properties": {},
        "routing_key": QUEUE,
        "payload": "an order that could not be read",
        "payload_encoding": "string",
    }
    with connection(load_target(DEMO)) as rabbitmq:
        path = f"api/{rabbitmq.queue(QUEUE)}"
        rabbitmq.http.put(path, json={"durable": True}).raise_for_status()
        exchange = f"api/exchanges/{quote(rabbitmq.vhost, safe='')}/amq.default/publish"
        for _message in range(MESSAGES - _ready(rabbitmq)):
            rabbitmq.http.post(exchange, json=message).raise_for_status()
        # The statistics follow within seconds.
        see(lambda: _ready(rabbitmq) >= MESSAGES, "RabbitMQ does not report its messages")


def _ready(rabbitmq: Connection) -> int:
    queue = rabbitmq.read(rabbitmq.queue(QUEUE), Queue)
    return (queue.ready if queue else None) or 0


def _delete(_: Parts) -> None:
    with connection(load_target(DEMO)) as rabbitmq:
        answer = rabbitmq.http.delete(f"api/{rabbitmq.queue(QUEUE)}")
        if answer.status_code != HTTPStatus.NOT_FOUND:
            answer.raise_for_status()


FAULTS = (
    Fault(
        name="rabbitmq-backlog",
        description=f"{MESSAGES:,} orders that no program can read lie in {QUEUE}.",
        symptom="Customers do not get what they have ordered; the site works.",
        runbook="rabbitmq/monitor",
        cause="rabbitmq.depth",
        demand=_demand,
        break_it=_fill,
        fix_it=_delete,
    ),
)
