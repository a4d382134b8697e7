"""Start Valkey or PostgreSQL of the demo stack, or restart it when it hangs.

The demo's own `[targets.demo.restart]`, as `systemctl restart redis` would be another system's:

    python -m opsnb.demo.restart redis|postgres
"""

from __future__ import annotations

import sys

from opsnb.demo.home import Home, Settings
from opsnb.demo.postgres import Postgres
from opsnb.demo.valkey import Valkey
from opsnb.errors import DemoError

SERVERS: dict[str, type[Valkey | Postgres]] = {"redis": Valkey, "postgres": Postgres}


def restart(name: str) -> None:
    """Start the server `name` on the data that it kept. Raises DemoError when it does not respond.

    A fault that brought it down stays active, as after any other fix by hand.
    """
    home = Home.current()
    with home.locked(lambda _: None):
        settings = Settings.load(home)
        if settings is None:
            raise DemoError("The demo stack is not up. Start it: opsnb demo up")
        SERVERS[name](home, settings).start()


if __name__ == "__main__":
    try:
        restart(sys.argv[1])
    except DemoError as error:
        sys.exit(str(error))
