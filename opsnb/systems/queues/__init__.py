"""BullMQ queues, through its official Python client on the target's Redis."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.queues.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
