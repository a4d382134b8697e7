"""RabbitMQ as a system of opsnb, read and changed by its management API."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb_rabbitmq.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
