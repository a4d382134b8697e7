"""What is to be run: a runbook, on a target, with checked parameters and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.config.target import Target
from opsnb.errors import ConfigError
from opsnb.headless.execute import Limits
from opsnb.headless.progress import Spectator
from opsnb.model import RunResult

_METADATA = "opsnb"  # of a notebook: its `timeout_s` and `cell_timeout_s`

LIMIT_S = 3600.0
"""How long a run may take whose notebook and command line do not say."""


@dataclass(frozen=True)
class Order:
    """What is to be run: a runbook, on a target, with checked parameters."""

    runbook: RunbookInfo
    target: Target
    parameters: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    """Of the whole run; None for what the notebook says, or else an hour."""
    trigger: str = "manual"
    scheduled: datetime | None = None
    incident: str | None = None
    resumes: RunResult | None = None
    """The run that is continued, with the actions of those that it continued in turn."""
    fleet: str | None = None
    cold: bool = False
    """True starts a stock kernel."""
    wait_s: float | None = None
    """How long to wait for a target that another run acts on; None refuses at once."""
    spectator: Spectator = field(default_factory=Spectator)

    @property
    def applies(self) -> bool:
        """Whether it may change the target."""
        return bool(self.parameters.get("apply"))


def source_of(runbook: RunbookInfo) -> bytes:
    """Return the notebook's file. Raises ConfigError when it cannot be read."""
    try:
        return runbook.path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{runbook.path} cannot be read: {error.strerror}. Restore it from git."
        ) from error


def limits_of(order: Order, notebook: dict[str, Any]) -> Limits:
    """Return the limits of the run: those of the notebook's metadata, unless given."""
    own = notebook.get("metadata", {}).get(_METADATA, {})
    limit_s = order.timeout_s or own.get("timeout_s") or LIMIT_S
    return Limits(limit_s, own.get("cell_timeout_s"))
