"""An order: what to run, on which target, with which parameters and limits."""

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
"""The time limit of a run when neither its notebook nor its order sets one."""


@dataclass(frozen=True)
class Order:
    """A runbook to run on a target, with checked parameters."""

    runbook: RunbookInfo
    target: Target
    parameters: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    """For the whole run; None for the notebook's own limit, or else an hour."""
    trigger: str = "manual"
    scheduled: datetime | None = None
    incident: str | None = None
    resumes: RunResult | None = None
    """The run to continue, with the actions of all runs that it continued."""
    fleet: str | None = None
    cold: bool = False
    """True starts a stock kernel."""
    wait_s: float | None = None
    """How long to wait for the lock of the target; None refuses at once."""
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
    """Return the limits of the run: of the order, else of the notebook's metadata."""
    own = notebook.get("metadata", {}).get(_METADATA, {})
    limit_s = order.timeout_s or own.get("timeout_s") or LIMIT_S
    return Limits(limit_s, own.get("cell_timeout_s"))
