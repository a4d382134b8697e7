"""The queues of a virtual host, and what RabbitMQ knows of each."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from opsnb.checks import evidence
from opsnb.errors import Misconfigured, UsageError, did_you_mean
from opsnb_rabbitmq.connection import SYSTEM, Connection

_PAGE = 500  # as many as RabbitMQ gives at a time
_MOST_PAGES = 10
_COLUMNS = "name,type,state,exclusive,messages_ready,messages_unacknowledged,consumers"


class Queue(BaseModel):
    """A queue as the management API reports it.

    The numbers are missing while a queue has just been declared, while its node is down, and where
    the statistics are switched off: that is not 0.
    """

    name: str
    type: str = "classic"
    state: str = ""
    exclusive: bool = False
    ready: Annotated[int | None, Field(alias="messages_ready")] = None
    unacked: Annotated[int | None, Field(alias="messages_unacknowledged")] = None
    consumers: int | None = None


class _Page(BaseModel):
    items: list[Queue]
    page_count: int
    filtered_count: int


def read_all(rabbitmq: Connection) -> list[Queue]:
    """Return the queues of the virtual host, reporting as a gap those that were not read.

    The list of a virtual host is refused without a right to it. That of the whole broker would
    leave out what the user may not see, and look complete. Raises Misconfigured when there is no
    such virtual host.
    """
    found: list[Queue] = []
    for number in range(1, _MOST_PAGES + 1):
        page = _page(rabbitmq, number)
        found += page.items
        if number >= page.page_count:
            return found
    evidence.partial(f"{page.filtered_count - len(found):,} of {page.filtered_count:,} queues")
    return found


def _page(rabbitmq: Connection, number: int) -> _Page:
    page = rabbitmq.read(rabbitmq.queue(""), _Page, page=number, page_size=_PAGE, columns=_COLUMNS)
    if page is None:
        raise Misconfigured(
            SYSTEM, f"RabbitMQ has no virtual host {rabbitmq.vhost}; correct rabbitmq.vhost."
        )
    return page


def read_one(rabbitmq: Connection, name: str) -> Queue:
    """Return one queue. Raises UsageError for one that does not exist."""
    found = rabbitmq.read(rabbitmq.queue(name), Queue) if name else None
    if found is None:
        known = [queue.name for queue in read_all(rabbitmq)]
        raise UsageError(
            f"The virtual host {rabbitmq.vhost} has no queue '{name}'.{did_you_mean(name, known)}"
        )
    return found
