"""Redis or Valkey, as the cache and as what BullMQ stands on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.cache.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
