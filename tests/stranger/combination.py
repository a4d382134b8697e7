"""Which parts the stranger is put together from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Combination:
    """One way to put the system together."""

    bullmq: Literal[4, 5, 6]
    postgres: Literal[13, 14, 15, 16, 17, 18]
    redis: Literal["redis", "valkey"]
    rights: Literal["few", "many"]
    direct: bool
    """Whether opsnb is told PostgreSQL's own address, besides the pooler's."""
    errors: bool
    """Whether the service's log has errors of the last hour."""

    @property
    def name(self) -> str:
        """What the combination is called in the tests and on the page."""
        return f"bullmq{self.bullmq}-postgres{self.postgres}-{self.redis}-{self.rights}"

    @property
    def few(self) -> bool:
        """Whether opsnb's logins may do little."""
        return self.rights == "few"


DAILY = Combination(5, 15, "redis", "few", direct=True, errors=True)
"""The one that `make test` runs."""

COMBINATIONS = (
    DAILY,
    Combination(4, 13, "redis", "many", direct=True, errors=False),
    Combination(6, 14, "valkey", "few", direct=False, errors=True),
    Combination(5, 16, "valkey", "many", direct=False, errors=False),
    Combination(4, 17, "valkey", "few", direct=True, errors=False),
    Combination(6, 18, "redis", "many", direct=True, errors=True),
)
"""Each version of each part, with few rights and with many."""
