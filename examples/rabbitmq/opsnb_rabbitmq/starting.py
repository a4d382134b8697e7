"""RabbitMQ as what a service depends on: whether it is up, and how it is started."""

from __future__ import annotations

from urllib.parse import urlsplit

from opsnb.config.target import Target
from opsnb.systems.dependencies import Dependency, ask
from opsnb_rabbitmq.checks import ping
from opsnb_rabbitmq.settings import RabbitMQ

_DEFAULT_PORTS = {"http": 80, "https": 443}


def dependency(target: Target) -> Dependency | None:
    """Return how RabbitMQ is; None when the target does not name it."""
    settings = RabbitMQ.of(target)
    parts = urlsplit(settings.url)
    place = (parts.hostname or "localhost", parts.port or _DEFAULT_PORTS.get(parts.scheme, 15672))
    return ask(target, "rabbitmq", ping, settings.restart, [place])
