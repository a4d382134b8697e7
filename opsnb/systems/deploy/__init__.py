"""The release on the target's host."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.deploy.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
