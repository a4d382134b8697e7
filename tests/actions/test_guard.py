"""Nothing is changed but through plan, confirm, apply, verify; and the journal tells the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opsnb.actions.action import Action, CannotTell, Permit, Plan, action, require
from opsnb.actions.guard import Guard
from opsnb.actions.journal import Continued, Journal, read
from opsnb.config.target import Target
from opsnb.errors import Refused, Unreachable, UsageError
from opsnb.model import ActionRecord, ActionState, Finding, Status, superseded
from opsnb.redaction import MASK, Redactor

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
def clear(target: Target, former: ActionRecord | None) -> Plan:
    """Clear the shelf"""
    return plan()


@action(needs=("redis",))
def unplannable(target: Target, former: ActionRecord | None) -> Plan:
    """Clear a shelf that cannot be seen"""
    raise Unreachable("redis", "Redis cannot be reached: Connection refused.")


@action()
def breaking(target: Target, former: ActionRecord | None) -> Plan:
    """Break half-way"""

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        SHELF.pop()
        yield 1
        raise Unreachable("redis", "Redis went away.")

    return plan(work=work)


@action()
def interrupted(target: Target, former: ActionRecord | None) -> Plan:
    """Be interrupted half-way"""
    if former:
        raise CannotTell

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        SHELF.pop()
        yield 1
        raise KeyboardInterrupt

    return plan(work=work)


@action()
def lying(target: Target, former: ActionRecord | None) -> Plan:
    """Say that it worked though it did not"""

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        yield len(SHELF)

    return plan(work=work)


@action()
def moving(target: Target, former: ActionRecord | None) -> Plan:
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
    def vanishing(target: Target, former: ActionRecord | None) -> Plan:
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
    why = "Redis went away. 1 of 3 books done; run it again to finish the rest."
    assert found[0].message == why
    (counted,) = [each for each in superseded(found, [record]) if not each.superseded]
    assert counted.message == f"2 books are left. The action failed: {why}"
    assert guard()[0].act(clear)[0].planned == 2


def test_an_interruption_is_passed_on_and_told() -> None:
    ours, journal = guard()
    with pytest.raises(KeyboardInterrupt):
        ours.act(interrupted)
    assert journal[-1].state is ActionState.INTERRUPTED
    assert journal[-1].error is not None
    assert journal[-1].error.startswith("Interrupted. 1 of 3 books done")


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
    def keeping(target: Target, former: ActionRecord | None) -> Plan:
        """Keep the permit for later"""

        def work(permit: Permit) -> Iterator[int]:
            kept.append(permit)
            yield 3

        return plan(work=work)

    guard()[0].act(keeping)
    with pytest.raises(Refused):
        list(found.work(kept[0]))
    assert len(SHELF) == 3


# The journal's file


def journalled(path: Path) -> Guard:
    return Guard(Target(name="shelf"), True, "", lambda _: None, journal=Journal(path))


def test_the_journal_is_written_before_each_step(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: list[ActionRecord] = []

    @action()
    def looking(target: Target, former: ActionRecord | None) -> Plan:
        """Look into the journal"""
        seen.extend(read(path))

        def work(permit: Permit) -> Iterator[int]:
            seen.extend(read(path))
            yield from take(permit)

        def verify_too() -> list[Finding]:
            seen.extend(read(path))
            return verify()

        return plan(work=work, verify=verify_too)

    record, _ = journalled(path).act(looking)
    assert [told.state for told in seen] == [
        ActionState.PLANNED,  # as it is planned the second time
        ActionState.APPLYING,
        ActionState.APPLIED,
    ]
    assert read(path) == [record]


def test_without_a_journal_nothing_is_changed() -> None:
    ours = journalled(Path("/dev/full"))
    with pytest.raises(Refused, match=r"nothing changed: .* \(No space left on device\)"):
        ours.act(clear)
    assert len(SHELF) == 3
    assert ours.target.name == "shelf"


def test_a_journal_that_fails_later_is_told_and_the_work_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"

    @action()
    def filling(target: Target, former: ActionRecord | None) -> Plan:
        """Fill the disk"""

        def work(permit: Permit) -> Iterator[int]:
            path.unlink()
            path.symlink_to("/dev/full")
            yield from take(permit)

        return plan(work=work)

    record, _ = journalled(path).act(filling)
    assert (record.state, record.verified, SHELF) == (ActionState.APPLIED, True, [])
    assert record.warning.count("The journal could not be written") == 1


def test_no_secret_is_journalled_or_shown(tmp_path: Path) -> None:
    path, shown = tmp_path / "journal.jsonl", list[ActionRecord]()

    @action()
    def telling(target: Target, former: ActionRecord | None, word: str) -> Plan:
        """Tell a secret"""
        return plan(terms={"word": word}, sample=[{"word": word}])

    redactor = Redactor(["hunter2-hunter2"])
    target = Target(name="shelf")
    ours = Guard(target, True, "", shown.append, journal=Journal(path), redactor=redactor)
    ours.act(telling, "hunter2-hunter2")
    assert "hunter2" not in path.read_text() + "".join(one.model_dump_json() for one in shown)
    assert read(path)[0].arguments == {"word": MASK}


# A run that continues another


@action()
def empty(target: Target, former: ActionRecord | None, letters: str = "abc") -> Plan:
    """Empty the shelf of what was there"""
    there = former.terms["there"] if former else [book for book in SHELF if book in letters]
    left = [book for book in there if book in SHELF]

    def work(permit: Permit) -> Iterator[int]:
        require(permit)
        for done, book in enumerate(left, 1):
            SHELF.remove(book)
            yield done
            if "stop" in SHELF:
                raise KeyboardInterrupt
            if "break" in SHELF:
                raise Unreachable("redis", "Redis went away.")

    def gone() -> list[Finding]:
        ok = not set(there) & set(SHELF)
        return [Finding(status=Status.OK if ok else Status.CRIT, message=f"{len(there)} planned.")]

    return plan(
        summary=f"Take {len(left)}.",
        planned=len(left),
        work=work,
        verify=gone,
        terms={"there": there},
        basis=None,
    )


def of(former: ActionRecord, *, apply: bool = True, command: str = "opsnb run x") -> Guard:
    """Return the guard of a run that continues the one that left `former`."""
    known = former.model_copy(update={"continues": "run-1"})
    continued = Continued(run_id="run-1", command=command, actions=[known])
    return Guard(Target(name="shelf"), apply, "", lambda _: None, continued=continued)


def cut_off(by: str) -> ActionRecord:
    """Return the journal of an action that was cut off behind the first of three books."""
    told = list[ActionRecord]()
    SHELF.append(by)
    ours = Guard(Target(name="shelf"), True, "", told.append)
    if by == "stop":
        with pytest.raises(KeyboardInterrupt):
            ours.act(empty)
    else:
        ours.act(empty)
    SHELF.remove(by)
    assert SHELF == ["b", "c"]
    return told[-1]


def killed(former: ActionRecord) -> ActionRecord:
    """Return the journal as a kill leaves it, which lets nobody say anything."""
    silent = {"state": ActionState.APPLYING, "error": None, "finished": None, "applied": 0}
    return former.model_copy(update={**silent, "verified": None})


def test_what_was_applied_is_verified_and_not_repeated() -> None:
    first, _ = guard()[0].act(empty)
    SHELF.append("a")  # somebody put one back
    second, (effect,) = of(first).act(empty)
    assert SHELF == ["a"]
    assert (second.state, second.verified, second.continues) == (
        ActionState.APPLIED, False, "run-1",
    )  # fmt: skip
    assert (second.planned, second.applied, second.started) == (3, 3, first.started)
    assert second.id != first.id
    assert second.summary.startswith("Applied by run run-1 at ")
    assert effect.status is Status.CRIT
    SHELF.clear()
    assert of(first).act(empty)[0].verified


def test_what_was_applied_is_verified_though_it_could_not_be_planned_anew() -> None:
    @action()
    def once(target: Target, former: ActionRecord | None) -> Plan:
        """Be planned once"""
        if not SHELF:
            raise UsageError("There is no book.")
        return plan()

    first, _ = guard()[0].act(once)
    second, (effect,) = of(first).act(once)
    assert (second.state, second.verified) == (ActionState.APPLIED, False)
    assert effect.status is Status.UNKNOWN
    assert effect.message == "The effect could not be measured: There is no book."


@pytest.mark.parametrize("by", ["stop", "break"])
@pytest.mark.parametrize("seen", [cut_off, lambda by: killed(cut_off(by))])
def test_what_was_cut_off_is_finished(seen: Callable[[str], ActionRecord], by: str) -> None:
    first = seen(by)
    SHELF.append("a")  # as the plan had been, it is done again; what comes later is left alone
    SHELF.append("d")
    second, (effect,) = of(first).act(empty)
    assert SHELF == ["d"]
    assert (second.state, second.planned, second.applied) == (ActionState.APPLIED, 3, 3)
    assert effect.status is Status.OK
    assert second.summary.startswith("Take 3. This is the rest: run run-1 was interrupted in it")
    assert f"with {first.applied} of 3 books known to be done." in second.summary


def test_what_was_cut_off_behind_its_last_step_is_only_verified() -> None:
    first = killed(cut_off("stop"))
    SHELF.clear()
    second, (effect,) = of(first).act(empty)
    assert (second.state, second.planned, second.verified) == (ActionState.APPLIED, 0, True)
    assert second.summary.startswith("Nothing is left to do: run run-1 was interrupted")
    assert effect.status is Status.OK


def test_a_protected_target_needs_its_name_for_what_is_left() -> None:
    ours = of(cut_off("stop"))
    protected = Guard(
        Target(name="shelf", protected=True), True, "", lambda _: None, continued=ours.continued
    )
    with pytest.raises(Refused, match="--confirm shelf"):
        protected.act(empty)
    assert SHELF == ["b", "c"]


def test_what_cannot_be_known_is_put_before_the_operator() -> None:
    told = list[ActionRecord]()
    with pytest.raises(KeyboardInterrupt):
        Guard(Target(name="shelf"), True, "", told.append).act(interrupted)
    with pytest.raises(Refused) as refused:
        of(told[-1], command="opsnb run a/b -t shelf").act(interrupted)
    assert SHELF == ["a", "b"]
    for words in (
        "how much of this is left is unknown: run run-1 was interrupted in it",
        "with 1 of 3 books known to be done. The plan then: Take 3 books. The plan now: Take 2 "
        "books. To apply the plan of now: opsnb run a/b -t shelf --apply.",
        "To see it first: opsnb run a/b -t shelf",
    ):
        assert words in str(refused.value)


def test_terms_without_their_secrets_are_not_taken_for_known() -> None:
    first = cut_off("stop").model_copy(update={"terms": {"there": [MASK]}})
    with pytest.raises(Refused, match="is unknown"):
        of(first).act(empty)
    applied = first.model_copy(update={"state": ActionState.APPLIED})
    record, (effect,) = of(applied).act(empty)
    assert (record.verified, effect.status) == (False, Status.UNKNOWN)
    assert SHELF == ["b", "c"]


@pytest.mark.parametrize("state", [ActionState.PLANNED, ActionState.REFUSED, ActionState.FAILED])
def test_what_had_not_begun_is_done_as_ever(state: ActionState) -> None:
    first = guard(apply=False)[0].act(empty)[0].model_copy(update={"state": state})
    record, _ = of(first).act(empty)
    assert (record.applied, record.continues, SHELF) == (3, None, [])


@pytest.mark.parametrize("letters", ["ab", "c"])
def test_other_arguments_are_another_action(letters: str) -> None:
    first, _ = guard()[0].act(empty)
    SHELF[:] = ["a", "b", "c"]
    assert of(first).act(empty, letters)[0].continues is None
    SHELF[:] = ["a", "b", "c"]
    assert of(first).act(empty, letters="abc")[0].continues == "run-1"


def test_equal_actions_are_told_apart_by_their_order() -> None:
    first, _ = guard()[0].act(empty)
    ours = of(first)
    SHELF[:] = ["a"]
    assert ours.act(empty)[0].continues == "run-1"
    assert SHELF == ["a"]
    assert ours.act(empty)[0].continues is None
    assert SHELF == []


def test_a_dry_run_repeats_its_plan_alone() -> None:
    first = cut_off("stop")
    record, found = of(first, apply=False).act(empty)
    assert (record.state, record.continues, found) == (ActionState.PLANNED, None, [])


def test_arguments_are_known_by_name_with_their_defaults() -> None:
    def told(one: Action[...], *args: object, **kwargs: object) -> dict[str, object]:
        return one.arguments(*args, **kwargs)

    assert told(empty) == told(empty, "abc") == told(empty, letters="abc") == {"letters": "abc"}
    assert told(clear) == {}
    with pytest.raises(TypeError):
        told(empty, unknown=1)
