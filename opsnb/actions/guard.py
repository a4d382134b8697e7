"""What every change goes through: plan -> confirm -> apply -> verify.

A run that continues another does not repeat what that one applied: it verifies it. Where that one
was interrupted in an action, the action plans what is left; where it cannot tell, the operator
decides.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, ParamSpec

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
from opsnb.view.formats import number, utc

P = ParamSpec("P")
_SHOW_EVERY_S = 0.5


@dataclass(frozen=True)
class Guard:
    """Lets actions through on one target, or refuses them."""

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

        In a run that continues another, what that one applied is only verified, and what it was
        interrupted in is finished.

        Returns the journal and the findings: those of the verification, or one that says why the
        action could not be planned or done. Raises Refused, after the plan was shown, when it is
        not confirmed, when the state has changed since the plan, or when what is left of it is
        unknown; and UsageError on unusable arguments.
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
        if not plan.planned:  # nothing is sent to the system, so there is nothing to confirm
            record.state, record.started, record.finished = ActionState.APPLIED, now(), now()
            evidence.target_changed()  # the checks may find it fixed meanwhile
            self._journal(record)
            return record, self._verify(record, plan.verify)
        if plan.refusal:
            self._refuse(record, f"Refused, nothing changed: {plan.refusal}")
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
        summary = f"Applied by run {record.continues}{_at(former)}, not repeated: {former.summary}"
        kept = {"id": record.id, "continues": record.continues, "summary": summary}
        record = former.model_copy(update={**kept, "verified": None, "error": None})
        evidence.target_changed()
        self._journal(record)
        return record, self._verify(record, lambda: planning().verify())

    def _ask(
        self, record: ActionRecord, former: ActionRecord, planning: Callable[[], Plan]
    ) -> NoReturn:
        """Let the operator decide what happens to the rest of `former`."""
        assert self.continued is not None  # it is where `former` comes from
        try:
            current = planning().summary
        except OpsnbError as error:
            current = str(error)
        self._refuse(
            record,
            f"Refused, nothing changed: how much of this is left is unknown: {_cut_off(former)}. "
            f"The plan then: {former.summary} The plan now: {current} To apply the plan of now: "
            f"{self.continued.command} --apply. To see it first: {self.continued.command}",
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

    def _demand_same_basis(self, record: ActionRecord, shown: Plan, current: Plan) -> None:
        if current.basis != shown.basis:
            self._refuse(
                record,
                "Refused, nothing changed: the state has changed since the plan. "
                f"Planned: {shown.summary} Now: {current.summary} Check the new plan, then apply.",
            )

    def _refuse(self, record: ActionRecord, why: str) -> NoReturn:
        record.state, record.error = ActionState.REFUSED, why
        self._journal(record)
        raise Refused(why)

    def _work(self, record: ActionRecord, plan: Plan) -> list[Finding]:
        """Do the work under a permit; return a finding when it failed half-way."""
        permit = Permit(KEY)
        record.state, record.started = ActionState.APPLYING, now()
        if failure := self._journal(record):
            record.started = None
            self._refuse(
                record,
                f"Refused, nothing changed: the journal of this run cannot be written ({failure}). "
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
                is_news, record.applied = done != record.applied, done
                if is_due:
                    shown = time.monotonic()
                    self._journal(record)
                elif is_news:
                    self._note(record)
            shield.defer()
            record.state = ActionState.APPLIED
        except ServiceError as error:
            record.state, record.error = ActionState.FAILED, _progress(record, str(error))
            return [_finding(record, Status.CRIT, record.error)]
        except BaseException as error:
            # Also on Ctrl-C: the journal must say what is done before anything else happens.
            interrupted = isinstance(error, KeyboardInterrupt)
            record.state = ActionState.INTERRUPTED if interrupted else ActionState.FAILED
            reason = "Interrupted." if interrupted else f"{type(error).__name__}: {error}."
            record.error = _progress(record, reason)
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
                measured = measure()
            findings = [_proving(record, evidence.judged(finding, gaps)) for finding in measured]
        except OpsnbError as error:
            message = f"The effect could not be measured: {error}"
            findings = [_finding(record, Status.UNKNOWN, message)]
        if record.planned or record.continues:  # without work, nothing is verified
            seen = bool(findings) and all(_shows_effect(finding) for finding in findings)
            record.verified = record.state is ActionState.APPLIED and seen
        self._journal(record)
        return [self._of(record, finding) for finding in findings]

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
        """Write the progress to the journal at once, without waiting for the disk.

        It survives a kill of this process. When it fails, the next write reports it.
        """
        with suppress(OSError):
            self.journal.write(self._safe(record), sync=False)

    def _safe(self, record: ActionRecord) -> ActionRecord:
        return self.redactor.result(record)


def _proving(record: ActionRecord, finding: Finding) -> Finding:
    """Return a finding of the verification; after an action that did not complete, none is ok.

    The state may be as it should be, but the action did not bring it about. An alarm says why the
    action failed, because it counts instead of the finding that reported the failure.
    """
    if record.state is ActionState.APPLIED:
        return finding
    if finding.is_alarm:
        message = f"{finding.message} The action failed: {record.error}"
        return finding.model_copy(update={"message": message})
    if finding.status is not Status.OK:
        return finding
    message = f"{finding.message} This proves nothing: {record.title} did not complete."
    return finding.model_copy(update={"status": Status.UNKNOWN, "message": message})


_UNWRITTEN = "The journal could not be written: after a kill, nobody would know what was done"


def _without_terms() -> Plan:
    raise CannotTell("The terms of its plan were recorded without the secrets in them.")


def _planned(record: ActionRecord, plan: Plan, former: ActionRecord | None) -> ActionRecord:
    record.summary, record.planned, record.unit = plan.summary, plan.planned, plan.unit
    if former and plan.planned:
        record.summary = f"{plan.summary} This is the rest: {_cut_off(former)}."
    elif former:
        record.summary = f"Nothing is left to do: {_cut_off(former)}."
    elif not plan.planned:
        record.summary = f"Nothing to do: {plan.summary}"
    record.command, record.undo, record.warning = plan.command, plan.undo, plan.warning
    record.sample, record.bytes, record.terms = plan.sample, plan.bytes, plan.terms
    return record


def _progress(record: ActionRecord, reason: str) -> str:
    again = "; run it again to finish the rest" if record.applied else ""
    done = f"{record.applied:,} of {number(record.planned, record.unit)} done{again}"
    return f"{reason.rstrip('.')}. {done}."


def _cut_off(former: ActionRecord) -> str:
    return (
        f"run {former.continues} was interrupted in it{_at(former)}, with {former.applied:,} of "
        f"{former.planned:,} {former.unit} known to be done"
    )


def _at(former: ActionRecord) -> str:
    at = former.finished or former.started
    return f" at {utc(at)}" if at else ""


def _shows_effect(finding: Finding) -> bool:
    """Whether a verification saw the effect; a settled warning is about something else."""
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
    """Return why nothing treats the failure of an action."""
    return "the journal of the action says what is done" * (status is Status.CRIT)
