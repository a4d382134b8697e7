"""Keys for the tests of the cache, and actions on them."""

from __future__ import annotations

import redis

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.model import ActionRecord, Finding


def act(
    target: Target, action: Action[...], *args: object, **kwargs: object
) -> tuple[ActionRecord, list[Finding]]:
    guard = Guard(target, True, "", lambda _: None)
    return guard.act(action, *args, **kwargs)


def fill(client: redis.Redis, names: list[bytes]) -> None:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.set(name, b"value")
    pipeline.execute()


def numbered(family: str, count: int) -> list[bytes]:
    return [f"{family}:{number}".encode() for number in range(count)]
