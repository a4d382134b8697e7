"""The table of `opsnb.toml` that says how Redis and PostgreSQL are started."""

from __future__ import annotations

from pydantic import Field

from opsnb.config.settings import Settings


class Restart(Settings):
    """`[targets.NAME.restart]`: what starts the systems that the service stands on.

    Commands on the target's host, as lists of words. Each starts its system, afresh when it hangs,
    as `["systemctl", "restart", "redis"]` does.
    """

    redis: tuple[str, ...] = Field((), description="Starts Redis. Empty: it is started by hand.")
    postgres: tuple[str, ...] = Field(
        (), description="Starts PostgreSQL. Empty: it is started by hand."
    )
