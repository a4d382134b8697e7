"""What every change goes through: plan -> confirm -> apply -> verify.

An action is a function that looks and returns a Plan; it changes nothing. The plan's work can only
be done with a Permit, which only the guard makes, only for that plan, and takes back when the work
ends. So there is no way to change a system but through `Guard.act`. ::

    @action(needs=("redis",))
    def pause(target: Target, queue: str) -> Plan:
        "Pause a queue"
        ...
        return Plan(summary=..., planned=1, work=work, verify=verify, ...)

A run that continues another does not repeat what that one applied: it verifies it. What was cut off
half-way is planned again by the action itself when it can tell what is left (`resumable`), and put
before the operator when it cannot.
"""

from __future__ import annotations

import inspect
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Concatenate, Generic, Literal, NoReturn, ParamSpec, overload

from pydantic_core import to_jsonable_python

from opsnb.actions.journal import Continued, Journal, take_turn
from opsnb.checks import evidence
from opsnb.checks.check import name_of, title_of
from opsnb.config.target import Target
from opsnb.errors import (
    Locked,
    Misconfigured,
    NotConfigured,
    OpsnbError,
    Refused,
    ServiceError,
    TimedOut,
    Unreachable,
)
from opsnb.machine import interrupts
from opsnb.model import ActionRecord, ActionState, Finding, Row, Status, now
from opsnb.redaction import MASK, Redactor, outside
from opsnb.view.formats import number

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
    refusal: str = ""
    """Why it must not be applied, and the fix; the plan is shown all the same."""
    told_each: bool = False
    """Whether the journal is shown at each yield; else it is so at most twice a second."""
    terms: dict[str, Any] = field(default_factory=dict)
    """What was fixed by planning, in JSON: the action gets it back to plan the rest of the same."""


@dataclass(frozen=True)
class Action(Generic[P]):
    """A named change. Call it with the target to get its plan; only the guard applies it."""

    function: Callable[Concatenate[Target, ActionRecord | None, P], Plan]
    name: str
    """`system.action`, after the module and the function."""
    title: str
    needs: tuple[str, ...]
    """The systems without which it cannot be planned."""
    resumable: bool
    """Whether it can tell what is left of it when it was cut off."""
    signature: inspect.Signature
    """Of what an engineer gives it."""

    def __call__(self, target: Target, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """Return the plan for `target`; nothing is changed. Raises ServiceError, UsageError."""
        return self.function(target, None, *args, **kwargs)

    def again(
        self, target: Target, former: ActionRecord, *args: P.args, **kwargs: P.kwargs
    ) -> Plan:
        """Return the plan for what is left of `former`; its effect is that of the whole."""
        return self.function(target, former, *args, **kwargs)

    def arguments(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """Return what it is given by name, defaults too, in JSON."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found: dict[str, Any] = to_jsonable_python(bound.arguments, fallback=str)
        return found


_Simple = Callable[Concatenate[Target, P], Plan]
_Resumable = Callable[Concatenate[Target, ActionRecord | None, P], Plan]


@overload
def action(
    *, needs: tuple[str, ...] = ..., resumable: Literal[False] = ...
) -> Callable[[_Simple[P]], Action[P]]: ...


@overload
def action(
    *, needs: tuple[str, ...] = ..., resumable: Literal[True]
) -> Callable[[_Resumable[P]], Action[P]]: ...


def action(*, needs: tuple[str, ...] = (), resumable: bool = False) -> Any:
    """Make a function an action. The first line of its docstring is the title that people read.

    One that is `resumable` takes second the journal of the same action in a run that is continued,
    else None, and plans what is left of that, by the terms that it had fixed: nothing when it is
    done. Its plan verifies the effect of the whole.
    """

    def wrap(function: Callable[..., Plan]) -> Action[Any]:
        def simple(target: Target, _: ActionRecord | None, *args: Any, **kwargs: Any) -> Plan:
            return function(target, *args, **kwargs)

        signature = inspect.signature(function)
        given = list(signature.parameters.values())[2 if resumable else 1 :]
        return Action(
            function if resumable else simple,
            name_of(function),
            title_of(function),
            needs,
            resumable,
            signature.replace(parameters=given),
        )

    return wrap


@dataclass(frozen=True)
class Guard:
    """Lets actions through on one target, or refuses them."""

    target: Target
    apply: bool
    confirm: str
    """The target's name as the operator typed it; needed when the target is protected."""
    show: Callable[[ActionRecord], None]
    """Told the journal, free of secrets, before and after every step."""
    journal: Journal = field(default_factory=Journal)
    """Written before `show` is told."""
    redactor: Redactor = field(default_factory=Redactor)
    continued: Continued | None = None
    """The run that this one continues."""

    def act(
        self, action: Action[P], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[ActionRecord, list[Finding]]:
        """Plan `action`; when this guard applies, do it and verify it.

        What the run that is continued had applied is verified alone, and what it had begun is
        brought to its end.

        Returns the journal and the findings: those of the verification, or one that tells why it
        could not be planned or done. Raises Refused, after the plan was shown, when it is not
        confirmed, what is there has changed, or what is left of it cannot be known; and UsageError
        on unusable arguments.
        """
        with outside.reading(self.target.secrets):
            return self._decide(action, *args, **kwargs)

    def _decide(
        self, action: Action[P], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[ActionRecord, list[Finding]]:
        record = ActionRecord(
            id=secrets.token_hex(4),
            name=action.name,
            title=action.title,
            target=self.target.name,
            protected=self.target.protected,
            arguments=self.redactor.entries(action.arguments(*args, **kwargs)),
        )
        anew = partial(action, self.target, *args, **kwargs)
        former = self.continued.take(record) if self.continued and self.apply else None
        if former is None or not former.begun:
            return self._act(record, anew)
        record.continues = former.continues
        again = partial(action.again, self.target, former, *args, **kwargs)
        known = MASK not in json.dumps(former.terms)
        if former.state is ActionState.APPLIED:
            return self._look(record, former, again if known else _unknown)
        if not (action.resumable and known):
            self._ask(record, former, anew)
        return self._act(record, again, former)

    def _act(
        self, record: ActionRecord, planning: Callable[[], Plan], former: ActionRecord | None = None
    ) -> tuple[ActionRecord, list[Finding]]:
        """Plan, confirm, apply, verify; what is left of `former` where there is one."""
        try:
            with evidence.collected() as gaps:
                plan = planning()
        except ServiceError as error:
            return self._not_planned(record, error)
        record = _planned(record, plan, former)
        refusal = f"With --apply this is refused: {plan.refusal}" if plan.refusal else ""
        words = (record.warning, refusal, evidence.sentence(gaps))
        record.warning = " ".join(filter(None, words))
        self._journal(record)
        if not self.apply:
            return record, []
        if not plan.planned:  # nothing is sent to the system, and nothing has to be confirmed
            record.state, record.started, record.finished = ActionState.APPLIED, now(), now()
            evidence.target_changed()  # it may have come right meanwhile
            self._journal(record)
            return record, self._verify(record, plan.verify)
        if plan.refusal:
            self._refuse(record, f"Refused, nothing changed: {plan.refusal}")
        self._demand_confirmation(record)
        self._demand_turn(record)
        try:
            found = planning()
        except ServiceError as error:
            return self._not_planned(record, error)
        self._demand_same_basis(record, plan, found)
        failure = self._work(record, plan)
        return record, [*failure, *self._verify(record, plan.verify)]

    def _look(
        self, record: ActionRecord, former: ActionRecord, planning: Callable[[], Plan]
    ) -> tuple[ActionRecord, list[Finding]]:
        """Verify what `former` has applied."""
        summary = f"Applied by run {record.continues}{_at(former)}, not repeated: {former.summary}"
        kept = {"id": record.id, "continues": record.continues, "summary": summary}
        record = former.model_copy(update={**kept, "verified": None, "error": None})
        evidence.target_changed()
        self._journal(record)
        return record, self._verify(record, lambda: planning().verify())

    def _ask(
        self, record: ActionRecord, former: ActionRecord, planning: Callable[[], Plan]
    ) -> NoReturn:
        """Put before the operator what cannot be known."""
        assert self.continued is not None  # it is where `former` comes from
        try:
            now_there = planning().summary
        except OpsnbError as error:
            now_there = str(error)
        self._refuse(
            record,
            f"Whether anything is left of this to do cannot be known, so nothing was changed now: "
            f"{_cut_off(former)}. What it was to do: {former.summary} What there would be to do "
            f"anew: {now_there} If that is to be done: {self.continued.command} --apply. If not, "
            f"leave it as it is; to look again without changing anything: {self.continued.command}",
        )

    def _not_planned(
        self, record: ActionRecord, error: ServiceError
    ) -> tuple[ActionRecord, list[Finding]]:
        record.state, record.error = ActionState.FAILED, str(error)
        self._journal(record)
        # That it could not be planned is an alarm when it was to be done, or when a system is down.
        is_alarm = isinstance(error, Unreachable | TimedOut) or (
            self.apply and not isinstance(error, NotConfigured | Misconfigured)
        )
        status = Status.CRIT if is_alarm else Status.UNKNOWN
        return record, [_finding(record, status, f"Nothing was changed: {error}")]

    def _demand_confirmation(self, record: ActionRecord) -> None:
        if not self.target.protected or self.confirm == self.target.name:
            return
        typed = f", and '{self.confirm}' is not its name" if self.confirm else ""
        self._refuse(
            record,
            f"Refused, nothing changed: {self.target.name} is protected{typed}. "
            f"Add --confirm {self.target.name} (in a notebook: confirm = '{self.target.name}').",
        )

    def _demand_turn(self, record: ActionRecord) -> None:
        try:
            take_turn(self.target.name)
        except Locked as error:
            record.state, record.error = ActionState.REFUSED, f"Refused, nothing changed: {error}"
            self._journal(record)
            raise

    def _demand_same_basis(self, record: ActionRecord, shown: Plan, found: Plan) -> None:
        if found.basis != shown.basis:
            self._refuse(
                record,
                f"What is there has changed since the plan was made, so nothing was changed. "
                f"Planned: {shown.summary} Now: {found.summary} Look at the new plan, then apply.",
            )

    def _refuse(self, record: ActionRecord, why: str) -> NoReturn:
        record.state, record.error = ActionState.REFUSED, why
        self._journal(record)
        raise Refused(why)

    def _work(self, record: ActionRecord, plan: Plan) -> list[Finding]:
        """Do the work under a permit; return a finding when it failed half-way."""
        permit = Permit(_KEY)
        record.state, record.started = ActionState.APPLYING, now()
        if failure := self._journal(record):
            record.started = None
            self._refuse(
                record,
                f"The journal of this run cannot be written ({failure}), so nothing was changed; "
                "make room on its disk, then run it again.",
            )
        with interrupts.shielded() as shield:
            return self._do(record, plan, permit, shield)

    def _do(
        self, record: ActionRecord, plan: Plan, permit: Permit, shield: interrupts.Shield
    ) -> list[Finding]:
        shown = time.monotonic()
        try:
            for done in plan.work(permit):
                is_due = plan.told_each or time.monotonic() - shown > _SHOW_EVERY_S
                is_news, record.applied = done != record.applied, done
                if is_due:
                    shown = time.monotonic()
                    self._journal(record)
                elif is_news:
                    self._note(record)
            shield.defer()
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
            shield.defer()
            permit.withdraw()
            record.finished = now()
            evidence.target_changed()
            self._journal(record)
        return []

    def _verify(self, record: ActionRecord, measure: Callable[[], list[Finding]]) -> list[Finding]:
        record.measured = now()
        try:
            with evidence.collected() as gaps:
                found = measure()
            found = [_proving(record, evidence.judged(finding, gaps)) for finding in found]
        except OpsnbError as error:
            found = [_finding(record, Status.UNKNOWN, f"The effect could not be measured: {error}")]
        if record.planned or record.continues:  # where nothing was to do, nothing is verified
            shown = bool(found) and all(_is_good(finding) for finding in found)
            record.verified = record.state is ActionState.APPLIED and shown
        self._journal(record)
        return [self._of(record, finding) for finding in found]

    def _of(self, record: ActionRecord, finding: Finding) -> Finding:
        """Return a finding of the verification, named after the action where it has no name."""
        own: dict[str, Any] = {}
        if not finding.name:
            own = {
                "name": f"{record.name}.verify",
                "title": finding.title or f"{record.title}: effect",
                "condition": record.name,
                "arguments": record.arguments,
            }
        remedies = [
            remedy if remedy.target else remedy.on(self.target) for remedy in finding.remedies
        ]
        untreated = finding.untreated or ("" if remedies else _untreated(finding.status))
        update = {**own, "remedies": remedies, "untreated": untreated, "action": record.id}
        return finding.model_copy(update=update)

    def _journal(self, record: ActionRecord) -> str:
        """Write and show the journal; return why it could not be written, or nothing."""
        safe, failure = self._safe(record), ""
        try:
            self.journal.write(safe)
        except OSError as error:
            failure = error.strerror or str(error)
            if _UNWRITTEN not in record.warning:
                record.warning = f"{record.warning} {_UNWRITTEN} ({failure}).".strip()
                safe = self._safe(record)
        self.show(safe)
        return failure

    def _note(self, record: ActionRecord) -> None:
        """Have the journal say at once how far it came, without waiting for the disk.

        So it holds when this process is killed; when it fails, the next writing says so.
        """
        with suppress(OSError):
            self.journal.write(self._safe(record), sync=False)

    def _safe(self, record: ActionRecord) -> ActionRecord:
        return self.redactor.result(record)


def _proving(record: ActionRecord, finding: Finding) -> Finding:
    """Return a finding of the verification; after an action that did not end, none is ok.

    What is measured then may be as it should be, but not by what the action did.
    """
    if record.state is ActionState.APPLIED or finding.status is not Status.OK:
        return finding
    message = f"{finding.message} This proves nothing: {record.title} did not complete."
    return finding.model_copy(update={"status": Status.UNKNOWN, "message": message})


_UNWRITTEN = "The journal could not be written: were this killed, nobody would know how far it came"


def _unknown() -> Plan:
    raise Refused("What it was planned by was kept without the secrets in it, so it is not known.")


def _planned(record: ActionRecord, plan: Plan, former: ActionRecord | None) -> ActionRecord:
    record.summary, record.planned, record.unit = plan.summary, plan.planned, plan.unit
    if former:
        record.summary = (
            f"{plan.summary} That is left, as {_cut_off(former)}."
            if plan.planned
            else f"Nothing is left of it to do, though {_cut_off(former)}."
        )
    record.command, record.undo, record.warning = plan.command, plan.undo, plan.warning
    record.sample, record.bytes, record.terms = plan.sample, plan.bytes, plan.terms
    return record


def _so_far(record: ActionRecord, reason: str) -> str:
    again = "; run it again to finish the rest" if record.applied else ""
    done = f"{record.applied:,} of {number(record.planned, record.unit)} done{again}"
    return f"{reason.rstrip('.')}. {done}."


def _cut_off(former: ActionRecord) -> str:
    return (
        f"run {former.continues} was cut off in it{_at(former)}, with {former.applied:,} of "
        f"{former.planned:,} {former.unit} known to be done"
    )


def _at(former: ActionRecord) -> str:
    at = former.finished or former.started
    return f" at {at:%F %T} UTC" if at else ""


def _is_good(finding: Finding) -> bool:
    """Whether a verification found the effect; a settled warning is about something else."""
    return finding.status is Status.OK or (finding.settled and finding.status is Status.WARN)


def _finding(record: ActionRecord, status: Status, message: str) -> Finding:
    return Finding(
        name=record.name,
        title=record.title,
        arguments=record.arguments,
        status=status,
        message=message,
        untreated=_untreated(status),
        action=record.id,
    )


def _untreated(status: Status) -> str:
    """Return why nothing treats what an action did not achieve."""
    return "the journal of the action says how far it came" * (status is Status.CRIT)
