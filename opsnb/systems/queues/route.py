"""How a change is made: through the service's API, or in Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.errors import ServiceError
from opsnb.params import Via
from opsnb.systems import api
from opsnb.systems.api.settings import Api


@dataclass
class Route:
    """The chosen way, and its outcome."""

    target: Target
    by_api: bool
    warning: str = ""
    """Why it is not the way that was asked for."""
    _failed: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The way, to add to the plan's summary."""
        return " By the API." if self.by_api else ""

    @property
    def failure(self) -> str:
        """That the API failed during the work, to add to the measured effect."""
        return (
            f" The API failed ({self._failed[-1]}), so opsnb changed Redis." if self._failed else ""
        )

    def post(
        self, queue: str, verb: str, permit: Permit, *, limit_s: float = 0, **body: Any
    ) -> bool:
        """Ask the API to do `verb` if that is the way; return whether it reported success."""
        if not self.by_api:
            return False
        try:
            api.post(self.target, path(queue, verb), permit, limit_s=limit_s, **body)
        except ServiceError as error:
            self._failed.append(str(error).rstrip("."))
            return False
        return True


def path(queue: str, verb: str) -> str:
    """Return the API's path for `verb` of a queue, whose name may hold a slash or a space."""
    return f"/api/queue/{quote(queue, safe='')}/{verb}"


def by_hand(target: Target, queue: str, verb: str) -> str:
    """Return the handbook's command for `verb` of a queue, as a shell takes it."""
    return f"curl -X POST {Api.of(target).url}{path(queue, verb)}"


def choose(target: Target, queue: str, via: Via, *, unless: str = "") -> Route:
    """Return the way to change `queue`: the one asked for, or Redis if the API cannot do it.

    `unless` says what the API cannot do.
    """
    if via == "redis":
        return Route(target, by_api=False)
    if unless:
        return _fallback(target, f"The API {unless}")
    try:
        known = api.queue_names(target)
    except ServiceError as error:
        return _fallback(target, str(error))
    if queue not in known:
        return _fallback(target, f"The API does not serve {queue}")
    return Route(target, by_api=True)


def _fallback(target: Target, why: str) -> Route:
    return Route(target, by_api=False, warning=f"{why.rstrip('.')}; opsnb changes Redis instead.")
