"""Nothing is changed but through plan, confirm, apply, verify; and the journal tells the truth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opsnb.errors import Refused, Unreachable
from opsnb.guard import Guard, Permit, Plan, action, require
from opsnb.model import ActionRecord, ActionState, Finding, Status
from opsnb.target import Target

SHELF: list[str] = []
"""What the actions of these tests change."""


def verify() -> list[Finding]:
    status = Status.OK if not SHELF else Status.CRIT
    return [Finding(status=status, message=f"{len(SHELF)} books are left.")]


def take(permit: Permit) -> Iterator[int]:
    require(permit)
    for done in range(1, len(SHELF) + 1):
        SHELF.pop()
        yield done


def plan(**changes: object) -> Plan:
    values: dict[str, object] = {
        "summary": f"Take {len(SHELF)} books.",
        "planned": len(SHELF),
        "unit": "books",
        "command": "rm -r shelf",
        "undo": "",
        "work": take,
        "verify": verify,
        "basis": tuple(SHELF),
    }
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


@action()
def clear(target: Target) -> Plan:
    """Clear the shelf"""
    return plan()


@action(needs=("redis",))
def unplannable(target: Target) -> Plan:
    """Clear a shelf that cannot be seen"""
    raise Unreachable("redis", "Redis cannot be reached: Connection refused.")


@action()
def breaking(target: Target) -> Plan:
    """Break half-way"""

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        SHELF.pop()
        yield 1
        raise Unreachable("redis", "Redis went away.")

    return plan(work=work)


@action()
def interrupted(target: Target) -> Plan:
    """Be interrupted half-way"""

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        SHELF.pop()
        yield 1
        raise KeyboardInterrupt

    return plan(work=work)


@action()
def lying(target: Target) -> Plan:
    """Say that it worked though it did not"""

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        yield len(SHELF)

    return plan(work=work)


@action()
def moving(target: Target) -> Plan:
    """Find something else each time"""
    SHELF.append("new")
    return plan()


@pytest.fixture(autouse=True)
def _three_books() -> Iterator[None]:
    SHELF[:] = ["a", "b", "c"]
    yield
    SHELF.clear()


def guard(
    *, apply: bool = True, protected: bool = False, confirm: str = ""
) -> tuple[Guard, list[ActionRecord]]:
    journal: list[ActionRecord] = []
    target = Target(name="shelf", protected=protected)
    return Guard(target, apply, confirm, journal.append), journal


def test_without_apply_only_the_plan_is_shown() -> None:
    ours, journal = guard(apply=False)
    record, found = ours.act(clear)
    assert (record.state, record.planned, record.applied) == (ActionState.PLANNED, 3, 0)
    assert found == []
    assert len(SHELF) == 3
    assert [told.state for told in journal] == [ActionState.PLANNED]


def test_applied_is_verified_and_every_step_is_told_before_and_after() -> None:
    ours, journal = guard()
    record, (effect,) = ours.act(clear)
    assert (record.applied, record.verified) == (3, True)
    assert (effect.name, effect.status) == ("test_guard.clear.verify", Status.OK)
    assert SHELF == []
    assert [told.state for told in journal] == [
        ActionState.PLANNED,
        ActionState.APPLYING,
        ActionState.APPLIED,
        ActionState.APPLIED,
    ]


@pytest.mark.parametrize("typed", ["", "shlef"])
def test_a_protected_target_needs_its_name_typed(typed: str) -> None:
    ours, journal = guard(protected=True, confirm=typed)
    with pytest.raises(Refused, match="--confirm shelf"):
        ours.act(clear)
    assert len(SHELF) == 3
    assert journal[-1].state is ActionState.REFUSED
    assert guard(protected=True, confirm="shelf")[0].act(clear)[0].verified


def test_a_plan_that_no_longer_matches_is_refused() -> None:
    ours, journal = guard()
    with pytest.raises(Refused, match="has changed since the plan"):
        ours.act(moving)
    assert journal[-1].applied == 0


def test_what_cannot_be_planned_changes_nothing_and_says_why() -> None:
    record, (finding,) = guard()[0].act(unplannable)
    assert record.state is ActionState.FAILED
    assert finding.status is Status.CRIT
    assert finding.message == "Nothing was changed: Redis cannot be reached: Connection refused."


def test_a_system_lost_after_the_plan_changes_nothing_and_says_why() -> None:
    planned: list[Plan] = []

    @action(needs=("redis",))
    def vanishing(target: Target) -> Plan:
        """Be planned once"""
        if planned:
            raise Unreachable("redis", "Redis went away.")
        planned.append(plan())
        return planned[0]

    record, (finding,) = guard()[0].act(vanishing)
    assert record.state is ActionState.FAILED
    assert finding.message == "Nothing was changed: Redis went away."
    assert len(SHELF) == 3


def test_a_failure_half_way_says_what_was_done_and_what_was_not() -> None:
    record, found = guard()[0].act(breaking)
    assert (record.state, record.applied, record.verified) == (ActionState.FAILED, 1, False)
    assert found[0].message == (
        "Redis went away. 1 of 3 books were done; run it again to finish the rest."
    )
    assert guard()[0].act(clear)[0].planned == 2


def test_an_interruption_is_passed_on_and_told() -> None:
    ours, journal = guard()
    with pytest.raises(KeyboardInterrupt):
        ours.act(interrupted)
    assert journal[-1].state is ActionState.INTERRUPTED
    assert journal[-1].error is not None
    assert journal[-1].error.startswith("Interrupted. 1 of 3 books were done")


def test_the_effect_is_measured_not_believed() -> None:
    record, (effect,) = guard()[0].act(lying)
    assert record.applied == 3
    assert record.verified is False
    assert effect.status is Status.CRIT


def test_there_is_no_way_round_the_guard() -> None:
    found = clear(Target(name="shelf"))
    with pytest.raises(Refused):
        list(found.work(None))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="Only the guard"):
        Permit(object())
    kept: list[Permit] = []

    @action()
    def keeping(target: Target) -> Plan:
        """Keep the permit for later"""

        def work(permit: Permit) -> Iterator[int]:
            kept.append(permit)
            yield 3

        return plan(work=work)

    guard()[0].act(keeping)
    with pytest.raises(Refused):
        list(found.work(kept[0]))
    assert len(SHELF) == 3
