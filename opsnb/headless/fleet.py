"""One runbook on many targets, several at a time.

Each target's run has a thread here, a kernel's process, a time limit and a record of its own, so
that what befalls one touches no other. A summary, which is a record too, tells of all of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opsnb.catalog import RunbookInfo
from opsnb.errors import OpsnbError, Refused, UsageError, did_you_mean
from opsnb.headless import run as single
from opsnb.headless.kernels.forkserver import FORKS, ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.run import Order
from opsnb.model import RunResult, Status, now, worst
from opsnb.records import Stage, Store, findings, reap
from opsnb.records.members import Member, members, notebook, worst_exit_code
from opsnb.records.show import worst_sentence
from opsnb.redaction import MASK, Redactor, environment_secrets
from opsnb.target import Config, Target

_INTERRUPTED = 130
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Fleet:
    """What is to be run on several targets."""

    name: str
    """What stands for all of them in the summary, in place of a target: `prod-*`, `a+b`."""
    orders: Mapping[str, Order | OpsnbError]
    """By target: what is to be run, or why nothing can be. At least one can be run."""
    parent: str | None = None
    """The summary of which these are the targets that failed."""

    @property
    def order(self) -> Order:
        """An order for the whole: what the orders have in common."""
        first = next(order for order in self.orders.values() if isinstance(order, Order))
        shared = {
            name: value
            for name, value in first.parameters.items()
            if name not in ("target", "confirm")
        }
        return replace(first, target=Target(name=self.name), parameters=shared)


def assemble(
    order: Callable[[Target], Order],
)
