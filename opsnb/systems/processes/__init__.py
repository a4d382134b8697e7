"""The service's processes, as pm2, docker or systemd keep them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsnb.systems.processes.public import *
else:
    from opsnb.systems.lazily import lazily

    __getattr__, __dir__ = lazily(__name__)
