"""Redis and PostgreSQL, as what the service depends on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.dependencies.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
