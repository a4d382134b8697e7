"""RabbitMQ's table of `opsnb.toml`."""

from __future__ import annotations

from pydantic import Field

from opsnb.config.settings import Settings
from opsnb.config.urls import HttpUrl


class RabbitMQ(Settings):
    """`[targets.NAME.rabbitmq]`: the message broker."""

    url: HttpUrl = Field(
        "",
        repr=False,
        description="Its management API, with user and password. Empty: there is no RabbitMQ.",
    )
    vhost: str = Field("/", min_length=1, description="The virtual host of the queues.")
    unconsumed: tuple[str, ...] = Field(
        (),
        description="Globs of the queues that need no consumer, such as a dead-letter queue.",
    )
    restart: tuple[str, ...] = Field(
        (),
        description="Starts RabbitMQ: a command on the host as a list of words. Empty: you start "
        "it by hand.",
    )
