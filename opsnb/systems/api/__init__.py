"""The service's HTTP API."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.api.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
