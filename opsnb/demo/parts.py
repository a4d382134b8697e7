"""The parts of a demo stack, put together."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.demo import node
from opsnb.demo.home import Home, Say, Settings
from opsnb.demo.postgres import Postgres
from opsnb.demo.service import Service
from opsnb.demo.valkey import Valkey
from opsnb.errors import DemoError


@dataclass(frozen=True)
class Parts:
    """What a demo stack is made of."""

    home: Home
    settings: Settings
    postgres: Postgres
    valkey: Valkey
    service: Service


def assemble(home: Home, settings: Settings, say: Say) -> Parts:
    """Return the parts; the service is installed first when it is not. Raises DemoError."""
    return Parts(
        home,
        settings,
        Postgres(home, settings),
        Valkey(home, settings),
        Service(home, settings, node.install(say)),
    )


def current(say: Say) -> Parts:
    """Return the parts of the stack that is up. Raises DemoError when it is not."""
    home = Home.current()
    settings = Settings.load(home)
    if settings is None or not home.config.exists():
        raise DemoError("The demo stack is not up; start it with: opsnb demo up")
    return assemble(home, settings, say)
