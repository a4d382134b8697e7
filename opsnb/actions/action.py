"""An action: a function that reads the target and returns a plan, and changes nothing.

The plan's work needs a Permit. Only the guard makes one, for that plan alone, and withdraws it when
the work ends. So only `Guard.act` can change a system. ::

    @action(needs=("redis",))
    def pause(target: Target, former: ActionRecord | None, queue: str) -> Plan:
        "Pause a queue"
        ...
        return Plan(summary=..., planned=1, work=work, verify=verify, ...)

`former` is the journal of the same action in the run that is continued, and None in any other run.
With it, the action plans the rest, by the terms that the first plan fixed: nothing when all is
done. Its plan verifies the effect of the whole. An action that cannot tell what is left raises
CannotTell.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Self

from pydantic_core import to_jsonable_python

from opsnb.checks.check import name_of, title_of
from opsnb.config.target import Target
from opsnb.errors import OpsnbError, Refused
from opsnb.model import ActionRecord, Finding, Row

P = ParamSpec("P")

KEY = object()
"""What makes a permit valid; only the guard uses it."""


class CannotTell(OpsnbError):
    """What is left of an action cannot be determined, so the operator decides."""


class Permit:
    """Proof that the guard allows a plan's work. It is valid during the work."""

    def __init__(self, key: object) -> None:
        """Only the guard holds the key. Raises Refused for any other."""
        if key is not KEY:
            raise Refused("Only the guard gives permits; change systems by rb.act(...).")
        self._valid = True

    def withdraw(self) -> None:
        """End the permit: it allows nothing from now on."""
        self._valid = False

    @property
    def is_valid(self) -> bool:
        """Whether the work is still allowed."""
        return self._valid


def require(permit: Permit | None) -> None:
    """Raise Refused unless `permit` is valid. Code that opens a system for writing calls this."""
    if not (isinstance(permit, Permit) and permit.is_valid):
        raise Refused("This would change the system outside of an action; use rb.act(...).")


Work = Callable[[Permit], Iterator[int]]
"""Does the work in batches; yields after each batch how many of the planned are done."""


@dataclass(frozen=True)
class Plan:
    """Exactly what an action would change, and how."""

    summary: str
    """One sentence: what would change, and how many. Without a change: the current state."""
    planned: int
    """How many; 0 when there is nothing to do: the guard adds that to the summary."""
    unit: str
    """Of what, in the plural: `jobs`, `keys`, `tables`."""
    command: str
    """The handbook's command that it replaces."""
    undo: str
    """How to undo it; empty when that is impossible."""
    work: Work
    verify: Callable[[], list[Finding]]
    """Measures the effect again; never repeats what the work reported."""
    sample: list[Row] = field(default_factory=list)
    bytes: int | None = None
    """How much memory or disk it concerns; None if unknown."""
    basis: Any = None
    """The state that the plan rests on. If it has changed before the work, the plan is refused."""
    warning: str = ""
    """What the engineer must know before applying it."""
    refusal: str = ""
    """Why it must not be applied, and the fix; the plan is shown anyway."""
    journal_each: bool = False
    """Whether the journal is shown at each yield; else at most twice a second."""
    terms: dict[str, Any] = field(default_factory=dict)
    """What the plan fixed, in JSON. A run that continues gets it back in `former`."""

    @classmethod
    def nothing(
        cls, summary: str, unit: str, *, verify: Callable[[], list[Finding]] = list, **more: Any
    ) -> Self:
        """Return a plan that changes nothing. `summary` says why: `emails is not paused.`"""
        given = {"command": "", "undo": "", **more}
        return cls(
            summary=summary, planned=0, unit=unit, work=lambda _: iter(()), verify=verify, **given
        )


@dataclass(frozen=True)
class Action(Generic[P]):
    """A named change. Call it with the target to get its plan; only the guard applies it."""

    function: Callable[Concatenate[Target, ActionRecord | None, P], Plan]
    name: str
    """`system.action`, after the module and the function."""
    title: str
    needs: tuple[str, ...]
    """The systems without which it cannot be planned."""
    signature: inspect.Signature
    """Of what an engineer passes to it."""

    def __call__(self, target: Target, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """Return the plan for `target`; nothing is changed. Raises ServiceError, UsageError."""
        return self.function(target, None, *args, **kwargs)

    def again(
        self, target: Target, former: ActionRecord, *args: P.args, **kwargs: P.kwargs
    ) -> Plan:
        """Return the plan for what is left of `former`; its effect is that of the whole.

        Raises CannotTell too.
        """
        return self.function(target, former, *args, **kwargs)

    def arguments(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """Return its arguments by name, with the defaults, in JSON."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments: dict[str, Any] = to_jsonable_python(bound.arguments, fallback=str)
        return arguments


def action(
    *, needs: tuple[str, ...] = (), recorded_as: str = ""
) -> Callable[[Callable[Concatenate[Target, ActionRecord | None, P], Plan]], Action[P]]:
    """Make a function an action. The first line of its docstring is the title that people read.

    `recorded_as` is its name in records, if the function was renamed.
    """

    def wrap(function: Callable[Concatenate[Target, ActionRecord | None, P], Plan]) -> Action[P]:
        signature = inspect.signature(function)
        (_, _, *parameters) = signature.parameters.values()
        return Action(
            function,
            recorded_as or name_of(function),
            title_of(function),
            needs,
            signature.replace(parameters=parameters),
        )

    return wrap
