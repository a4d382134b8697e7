"""The parts of a demo stack, put together."""

from __future__ import annotations

from dataclasses import dataclass

from opsnb.demo import node, processes, service
from opsnb.demo.home import Home, Say, Settings, tail
from opsnb.demo.postgres import Postgres
from opsnb.demo.service import Service
from opsnb.demo.valkey import Valkey
from opsnb.errors import DemoError

SETTLE_LIMIT_S = 30.0


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
        raise DemoError("The demo stack is not up. Start it: opsnb demo up")
    return assemble(home, settings, say)


def settle(stack: Parts, away: set[str]) -> None:
    """Wait until everything but the parts `away` is healthy. Raises DemoError after 30 seconds."""
    dependencies = {"redis": stack.valkey.name, "postgres": stack.postgres.name}

    def well() -> bool:
        if service.WORKER not in away and not service.running(stack.home, service.WORKER):
            return False
        if service.API in away:
            return True
        known = service.health(stack.settings)
        return known is not None and all(
            known.get(dependency) == "ok"
            for dependency, part in dependencies.items()
            if part not in away
        )

    if not processes.wait_until(well, SETTLE_LIMIT_S):
        raise DemoError(
            "The demo stack did not become healthy; see: opsnb demo status, and "
            f"{stack.service.log}:{tail(stack.service.log)}"
        )
