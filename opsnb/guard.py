"""What every change goes through: plan -> confirm -> apply -> verify.

An action is a function that looks and returns a Plan; it changes nothing. The plan's work can only
be done with a Permit, which only the guard makes, only for that plan, and takes back when the work
ends. So there is no way to change a system but through `Guard.act`. ::

    @action(needs=("redis",))
    def pause(target: Target, queue: str) -> Plan:
        "Pause a queue"
        ...
        return Plan(summary=..., planned=1, work=work, verify=verify, ...)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec

from opsnb.check import name_of, title_of
from opsnb.errors import Refused, ServiceError
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.target import Target

P = ParamSpec("P")
_SHOW_EVERY_S = 0.5


class Permit:
    """Proof that the guard lets a plan's work be done, as long as it is being done."""

    def __init__(self, key: object) -> None:
        """Only the guard holds the key."""
        if key is not _KEY:
            raise Refused("Only the guard gives permits; change systems by rb.act(...).")
        self._valid = True

    def withdraw(self) -> None:
        """End the permit: whoever kept it can do nothing with it."""
        self._valid = False

    @property
    def is_valid(self) -> bool:
        """Whether the work is being done now."""
        return self._valid


_KEY = object()


def require(permit: Permit | None) -> None:
    """Raise Refused unless `permit` is a valid one: to be called by whatever opens for writing."""
    if not (isinstance(permit, Permit) and permit.is_valid):
        raise Refused("This would change the system outside of an action; use rb.act(...).")


Work = Callable[[Permit], Iterator[int]]
"""Does the work in batches; yields after each how many of the planned have been done so far."""


@dataclass(frozen=True)
class Plan:
    """Exactly what an action would change, and how."""

    summary: str
    """One sentence: what would change, with its number."""
    planned: int
    """How many; 0 when there is nothing to do."""
    unit: str
    """Of what, in the plural: `jobs`, `keys`, `tables`."""
    command: str
    """The handbook's own command that this stands for."""
    undo: str
    """How it can be undone; empty when it cannot."""
    work: Work
    verify: Callable[[], list[Finding]]
    """Measures the effect anew; never repeats what the work said."""
    sample: list[Row] = field(default_factory=list)
    bytes: int | None = None
    """How much memory or disk it concerns, where that is known."""
    basis: Any = None
    """What the plan stands on. When it differs as the work is to begin, the plan is refused."""
    warning: str = ""
    """What the engineer must know before saying yes."""


@dataclass(frozen=True)
class Action(Generic[P]):
    """A named change. Call it with the target to get its plan; only the guard applies it."""

    function: Callable[Concatenate[Target, P], Plan]
    name: str
    """`system.action`, after the module and the function."""
    title: str
    needs: tuple[str, ...]
    """The systems without which it cannot be planned."""

    def __call__(self, target: Target, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """Return the plan for `target`; nothing is changed. Raises ServiceError, UsageError."""
        return self.function(target, *args, **kwargs)


def action(
    *, needs: tuple[str, ...] = ()
) -> Callable[[Callable[Concatenate[Target, P], Plan]], Action[P]]:
    """Make a function an action. The first line of its docstring is the title that people read."""

    def wrap(function: Callable[Concatenate[Target, P], Plan]) -> Action[P]:
        title = title_of(function)
        return Action(function, name_of(function), title, needs)

    return wrap


@dataclass(frozen=True)
class Guard:
    """Lets actions through on one target, or refuses them."""

    target: Target
    apply: bool
    confirm: str
    """The target's name as the operator typed it; needed when the target is protected."""
    show: Callable[[ActionRecord], None]
    """Told the journal before and after every step."""

    def act(
        self, action: Action[P], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[ActionRecord, list[Finding]]:
        """Plan `action`; when this guard applies, do it and verify it.

        Returns the journal and the findings: those of the verification, or one that tells why it
        could not be planned or done. Raises Refused, after the plan was shown, when it is not
        confirmed or what is there has changed, and UsageError on unusable arguments.
        """
        record = ActionRecord(
            id=secrets.token_hex(4), name=action.name, title=action.title, target=self.target.name
        )
        try:
            plan = action(self.target, *args, **kwargs)
        except ServiceError as error:
            return self._not_planned(record, error)
        self._journal(_planned(record, plan))
        if not self.apply:
            return record, []
        self._demand_confirmation(record)
        try:
            found = action(self.target, *args, **kwargs)
        except ServiceError as error:
            return self._not_planned(record, error)
        self._demand_same_basis(record, plan, found)
        failure = self._work(record, plan)
        return record, [*failure, *self._verify(record, plan)]

    def _not_planned(
        self, record: ActionRecord, error: ServiceError
    ) -> tuple[ActionRecord, list[Finding]]:
        record.state, record.error = ActionState.FAILED, str(error)
        self._journal(record)
        return record, [_finding(record, Status.CRIT, f"Nothing was changed: {error}")]

    def _demand_confirmation(self, record: ActionRecord) -> None:
        if not self.target.protected or self.confirm == self.target.name:
            return
        typed = f"'{self.confirm}' was typed" if self.confirm else "its name was not typed"
        self._refuse(
            record,
            f"Target {self.target.name} is protected and {typed}: nothing was changed. "
            f"Set confirm to '{self.target.name}' (--confirm {self.target.name}).",
        )

    def _demand_same_basis(self, record: ActionRecord, shown: Plan, found: Plan) -> None:
        if found.basis != shown.basis:
            self._refuse(
                record,
                f"What is there has changed since the plan was made, so nothing was changed. "
                f"Planned: {shown.summary} Now: {found.summary} Look at the new plan, then apply.",
            )

    def _refuse(self, record: ActionRecord, why: str) -> None:
        record.state, record.error = ActionState.REFUSED, why
        self._journal(record)
        raise Refused(why)

    def _work(self, record: ActionRecord, plan: Plan) -> list[Finding]:
        """Do the work under a permit; return a finding when it failed half-way."""
        permit = Permit(_KEY)
        record.state, record.started = ActionState.APPLYING, now()
        self._journal(record)
        shown = time.monotonic()
        try:
            for done in plan.work(permit):
                record.applied = done
                if time.monotonic() - shown > _SHOW_EVERY_S:
                    shown = time.monotonic()
                    self._journal(record)
            record.state = ActionState.APPLIED
        except ServiceError as error:
            record.state, record.error = ActionState.FAILED, _so_far(record, str(error))
            return [_finding(record, Status.CRIT, record.error)]
        except BaseException as error:
            # Also on Ctrl-C: the journal must say how far it came before anything else happens.
            interrupted = isinstance(error, KeyboardInterrupt)
            record.state = ActionState.INTERRUPTED if interrupted else ActionState.FAILED
            reason = "Interrupted." if interrupted else f"{type(error).__name__}: {error}."
            record.error = _so_far(record, reason)
            raise
        finally:
            permit.withdraw()
            record.finished = now()
            self._journal(record)
        return []

    def _verify(self, record: ActionRecord, plan: Plan) -> list[Finding]:
        try:
            found = plan.verify()
        except ServiceError as error:
            found = [_finding(record, Status.UNKNOWN, f"The effect could not be measured: {error}")]
        record.verified = record.state is ActionState.APPLIED and all(
            finding.status is Status.OK for finding in found
        )
        self._journal(record)
        return [
            finding.model_copy(
                update={
                    "name": finding.name or f"{record.name}.verify",
                    "title": finding.title or f"{record.title}: effect",
                }
            )
            for finding in found
        ]

    def _journal(self, record: ActionRecord) -> None:
        self.show(record.model_copy())


def _planned(record: ActionRecord, plan: Plan) -> ActionRecord:
    record.summary, record.planned, record.unit = plan.summary, plan.planned, plan.unit
    record.command, record.undo, record.warning = plan.command, plan.undo, plan.warning
    record.sample, record.bytes = plan.sample, plan.bytes
    return record


def _so_far(record: ActionRecord, reason: str) -> str:
    return (
        f"{reason} {record.applied} of {record.planned} {record.unit} were done; "
        "run it again to finish the rest."
    )


def _finding(record: ActionRecord, status: Status, message: str) -> Finding:
    return Finding(name=record.name, title=record.title, status=status, message=message)
