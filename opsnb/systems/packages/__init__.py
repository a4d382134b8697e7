"""Packages of the service and of its host."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.packages.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
