"""The service's logs: errors within the last hours, over rotated and packed files."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.logs.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
