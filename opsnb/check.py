"""What makes a function a check: its name, what it depends on, its time limit.

A check takes the target first, measures one thing, and returns a Finding. What goes wrong it
raises, as a ServiceError; the session turns that into a finding. ::

    @check(needs=("redis",))
    def memory(target: Target) -> Finding:
        "Memory of Redis"
        ...
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Generic, ParamSpec

from opsnb import evidence, outside
from opsnb.model import Finding, now
from opsnb.target import Target

P = ParamSpec("P")


@dataclass(frozen=True)
class Check(Generic[P]):
    """A named measurement of one target. Call it with the target to get its finding."""

    function: Callable[Concatenate[Target, P], Finding]
    name: str
    """`system.check`, after the module and the function."""
    title: str
    probes: str | None
    """The system whose reachability this check reports."""
    needs: tuple[str, ...]
    """The systems without which this check cannot measure."""
    limit_s: float
    """After this time the session stops waiting."""

    def __call__(self, target: Target, *args: P.args, **kwargs: P.kwargs) -> Finding:
        """Measure `target` and return the finding. Raises ServiceError."""
        started, clock = now(), time.perf_counter()
        with outside.reading(target.secrets), evidence.collected() as gaps:
            finding = self.function(target, *args, **kwargs)
        finding = evidence.judged(finding, gaps)
        if not finding.settled:
            evidence.repeat(gaps)  # to a check that builds its own finding from this one
        return finding.model_copy(
            update={
                "remedies": [remedy.on(target) for remedy in finding.remedies],
                "name": self.name,
                "title": self.title,
                "started": started,
                "seconds": time.perf_counter() - clock,
            }
        )

    def given(self, *args: P.args, **kwargs: P.kwargs) -> Check[[]]:
        """Return this check with its arguments filled in, to be handed to `check_all`."""

        def bound(target: Target) -> Finding:
            return self.function(target, *args, **kwargs)

        return Check(bound, self.name, self.title, self.probes, self.needs, self.limit_s)


def name_of(function: Callable[..., object]) -> str:
    """Return `system.function`; a system is a module of `opsnb.systems`, or a package of them."""
    inside = function.__module__.partition("opsnb.systems.")[2]
    system = inside.split(".")[0] if inside else function.__module__.rpartition(".")[2]
    return f"{system}.{function.__name__}"


def title_of(function: Callable[..., object]) -> str:
    """Return the first line of a function's docstring, which is the title that people read."""
    return (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")


def check(
    *, probes: str | None = None, needs: tuple[str, ...] = (), limit_s: float = 10.0
) -> Callable[[Callable[Concatenate[Target, P], Finding]], Check[P]]:
    """Make a function a check. The first line of its docstring is the title that people read."""

    def wrap(function: Callable[Concatenate[Target, P], Finding]) -> Check[P]:
        title = title_of(function)
        return Check(function, name_of(function), title, probes, needs, limit_s)

    return wrap
