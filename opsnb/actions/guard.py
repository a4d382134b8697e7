"""Every change goes through here: plan -> confirm -> apply -> verify.

A run that continues another verifies what that one applied, and does not repeat it. Where that run
was interrupted in an action, the action plans the rest; if it cannot tell, the operator decides.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn, ParamSpec

from opsnb.actions import effect, journal
from opsnb.actions.action import KEY, Action, CannotTell, Permit, Plan
from opsnb.actions.journal import Continued, Journal, take_turn
from opsnb.checks import evidence
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
from opsnb.model import ActionRecord, ActionState, Finding, Status, now
from opsnb.redaction import MASK, Redactor, outside
from opsnb.view.commands import quoted

P = ParamSpec("P")
_SHOW_EVERY_S = 0.5
_REFUSED = "Refused, nothing changed:"
_UNWRITTEN = "The journal could not be written: after a kill, nobody would know what was done"


@dataclass(frozen=True)
class Guard:
    """Applies actions on one target, or refuses them."""

    target: Target
    apply: bool
    confirm: str
    """The target's name as the operator typed it; needed when the target is protected."""
    show: Callable[[ActionRecord], None]
    """Called with the journal, free of secrets, before and after every step."""
    journal: Journal = field(default_factory=Journal)
    """Written before `show` is called."""
    redactor: Redactor = field(default_factory=Redactor)
    continued: Continued | None = None
    """The run that this one continues."""

    def act(
        self, action: Action[P], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[ActionRecord, list[Finding]]:
        """Plan `action`; when this guard applies, do it and verify it.

        A run that continues another verifies what that run applied, and finishes the action in
        which it was interrupted.

        Returns the journal and the findings: those of the verification, or one that says why the
        action could not be planned or done. Raises Refused, after the plan was shown, if it is not
        confirmed, if the state has changed since the plan, or if what is left of it is unknown;
        raises UsageError on unusable arguments.
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
        fresh = partial(action, self.target, *args, **kwargs)
        former = self.continued.take(record) if self.continued and self.apply else None
        if former is None or not former.begun:
            return self._act(record, fresh)
        record.continues = former.continues
        is_known = MASK not in json.dumps(former.terms)
        rest = partial(action.again, self.target, former, *args, **kwargs)
        again = rest if is_known else _without_terms
        if former.state is ActionState.APPLIED:
            return self._verify_applied(record, former, again)
        try:
            return self._act(record, again, former)
        except CannotTell:
            self._ask(record, former, fresh)

    def _act(
        self, record: ActionRecord, planning: Callable[[], Plan], former: ActionRecord | None = None
    ) -> tuple[ActionRecord, list[Finding]]:
        """Plan, confirm, apply, verify; with `former`, what is left of it."""
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
        if not plan.planned:  # nothing is sent, so nothing to confirm
            record.state, record.started, record.finished = ActionState.APPLIED, now(), now()
            evidence.target_changed()  # checks may find it fixed meanwhile
            self._journal(record)
            return record, self._verify(record, plan.verify)
        if plan.refusal:
            self._refuse(record, plan.refusal)
        self._demand_confirmation(record)
        self._demand_turn(record)
        try:
            current = planning()
        except ServiceError as error:
            return self._not_planned(record, error)
        self._demand_same_basis(record, plan, current)
        failure = self._work(record, plan)
        return record, [*failure, *self._verify(record, plan.verify)]

    def _verify_applied(
        self, record: ActionRecord, former: ActionRecord, planning: Callable[[], Plan]
    ) -> tuple[ActionRecord, list[Finding]]:
        """Verify what `former` applied."""
        applied = f"Applied by run {record.continues}{journal.ended_at(former)}, not repeated:"
        own = {"id": record.id, "continues": record.continues, "verified": None, "error": None}
        record = former.model_copy(update={**own, "summary": f"{applied} {former.summary}"})
        evidence.target_changed()
        self._journal(record)
        return record, self._verify(record, lambda: planning().verify())

    def _ask(
        self, record: ActionRecord, former: ActionRecord, planning: Callable[[], Plan]
    ) -> NoReturn:
        """Refuse, so that the operator decides what happens to the rest of `former`."""
        assert self.continued is not None  # `former` comes from it
        command = self.continued.command
        apply = f"{command} --apply"
        if self.target.protected:
            apply += f" --confirm {quoted(self.target.name)}"
        try:
            current = planning().summary
        except OpsnbError as error:
            current = str(error)
        self._refuse(
            record,
            f"how much of this is left is unknown: {journal.interrupted(former)}. "
            f"The plan then: {former.summary} The plan now: {current} To apply the plan of now: "
            f"{apply}. To see it first: {command}",
        )

    def _not_planned(
        self, record: ActionRecord, error: ServiceError
    ) -> tuple[ActionRecord, list[Finding]]:
        record.state, record.error = ActionState.FAILED, str(error)
        self._journal(record)
        # A failed plan is an alarm when it was to be applied, or when a system is down.
        is_alarm = isinstance(error, Unreachable | TimedOut) or (
            self.apply and not isinstance(error, NotConfigured | Misconfigured)
        )
        status = Status.CRIT if is_alarm else Status.UNKNOWN
        return record, [effect.report(record, status, f"Nothing was changed: {error}")]

    def _demand_confirmation(self, record: ActionRecord) -> None:
        if not self.target.protected or self.confirm == self.target.name:
            return
        typed = f", and '{self.confirm}' is not its name" if self.confirm else ""
        self._refuse(
            record,
            f"{self.target.name} is protected{typed}. "
            f"Add --confirm {self.target.name} (in a notebook: confirm = '{self.target.name}').",
        )

    def _demand_turn(self, record: ActionRecord) -> None:
        try:
            take_turn(self.target.name)
        except Locked as error:
            record.state, record.error = ActionState.REFUSED, f"{_REFUSED} {error}"
            self._journal(record)
            raise

    def _demand_same_basis(self, record: ActionRecord, shown: Plan, current: Plan) -> None:
        if current.basis != shown.basis:
            self._refuse(
                record,
                "the state has changed since the plan. "
                f"Planned: {shown.summary} Now: {current.summary} Check the new plan, then apply.",
            )

    def _refuse(self, record: ActionRecord, why: str) -> NoReturn:
        record.state, record.error = ActionState.REFUSED, f"{_REFUSED} {why}"
        self._journal(record)
        raise Refused(record.error)

    def _work(self, record: ActionRecord, plan: Plan) -> list[Finding]:
        """Do the work under a permit; return a finding when it failed."""
        permit = Permit(KEY)
        record.state, record.started = ActionState.APPLYING, now()
        if failure := self._journal(record):
            record.started = None
            self._refuse(
                record,
                f"the journal of this run cannot be written ({failure}). "
                "Make room on its disk, then run it again.",
            )
        with interrupts.shielded() as shield:
            return self._do(record, plan, permit, shield)

    def _do(
        self, record: ActionRecord, plan: Plan, permit: Permit, shield: interrupts.Shield
    ) -> list[Finding]:
        shown = time.monotonic()
        try:
            for done in plan.work(permit):
                is_due = plan.journal_each or time.monotonic() - shown > _SHOW_EVERY_S
                has_progress, record.applied = done != record.applied, done
                if is_due:
                    shown = time.monotonic()
                    self._journal(record)
                elif has_progress:
                    self._note(record)
            shield.defer()
            record.state = ActionState.APPLIED
        except ServiceError as error:
            record.state, record.error = ActionState.FAILED, journal.progress(record, str(error))
            return [effect.report(record, Status.CRIT, record.error)]
        except BaseException as error:
            # Also on Ctrl-C: first of all, the journal records what is done.
            is_interrupt = isinstance(error, KeyboardInterrupt)
            record.state = ActionState.INTERRUPTED if is_interrupt else ActionState.FAILED
            reason = "Interrupted." if is_interrupt else f"{type(error).__name__}: {error}."
            record.error = journal.progress(record, reason)
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
        findings = effect.measured(record, measure)
        if record.planned or record.continues:  # without work, nothing is verified
            seen = bool(findings) and all(effect.is_seen(finding) for finding in findings)
            record.verified = record.state is ActionState.APPLIED and seen
        self._journal(record)
        return [effect.named(record, finding, self.target) for finding in findings]

    def _journal(self, record: ActionRecord) -> str:
        """Write and show the journal; return why it could not be written, if so."""
        safe, failure = self.redactor.result(record), ""
        try:
            self.journal.write(safe)
        except OSError as error:
            failure = error.strerror or str(error)
            if _UNWRITTEN not in record.warning:
                record.warning = f"{record.warning} {_UNWRITTEN} ({failure}).".strip()
                safe = self.redactor.result(record)
        self.show(safe)
        return failure

    def _note(self, record: ActionRecord) -> None:
        """Write the progress to the journal at once, without waiting for the disk.

        It survives a kill of this process. When it fails, the next write reports it.
        """
        with suppress(OSError):
            self.journal.write(self.redactor.result(record), sync=False)


def _without_terms() -> Plan:
    raise CannotTell("The terms of its plan were recorded without the secrets in them.")


def _planned(record: ActionRecord, plan: Plan, former: ActionRecord | None) -> ActionRecord:
    record.summary, record.planned, record.unit = plan.summary, plan.planned, plan.unit
    if former and plan.planned:
        record.summary = f"{plan.summary} This is the rest: {journal.interrupted(former)}."
    elif former:
        record.summary = f"Nothing is left to do: {journal.interrupted(former)}."
    elif not plan.planned:
        record.summary = f"Nothing to do: {plan.summary}"
    record.command, record.undo, record.warning = plan.command, plan.undo, plan.warning
    record.sample, record.bytes, record.terms = plan.sample, plan.bytes, plan.terms
    return record
