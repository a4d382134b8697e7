"""The machine: where programs run and files are read, its disks, memory and processor."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.host.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
