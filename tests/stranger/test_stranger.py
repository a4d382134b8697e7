"""All runbooks on systems that are not the demo."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.errors import Refused, UsageError
from opsnb.headless.order import Order
from opsnb.model import ActionState, RunResult
from tests import runs
from tests.servers.postgres import PACKAGED
from tests.stranger import servers, snapshot
from tests.stranger.combination import COMBINATIONS, DAILY, Combination
from tests.stranger.outcome import Outcome, Outcomes, compare, outcome_of
from tests.stranger.page import PAGE, render
from tests.stranger.runbooks import CASES, LACKS, Case
from tests.stranger.system import NAME, Shop, shop
from tests.stranger.users import users

each_combination = pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(of, id=of.name, marks=[] if of == DAILY else [pytest.mark.matrix])
        for of in COMBINATIONS
    ],
    indirect=True,
)

_READS = (0, 1, 2, 3)
_STOPS = (64, 77)  # unusable parameters, refused


@pytest.fixture
def stranger(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Shop]:
    """The system, and an environment as its operator has it."""
    if not PACKAGED:
        pytest.skip("there are no packages of PostgreSQL for this machine")
    with shop(request.param) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OPSNB_CONFIG", str(made.folder / "opsnb.toml"))
        monkeypatch.setenv("HOME", str(made.home))
        monkeypatch.delenv("PM2_HOME", raising=False)
        monkeypatch.chdir(made.folder)
        yield made
        made.end_strays()


@dataclass
class Report:
    """What all runbooks came to, and what is wrong with them."""

    outcomes: Outcomes = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    """What the actions of the runbook say."""

    @contextmanager
    def expecting(self, what: str) -> Iterator[None]:
        """Note what is wrong within, and go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each runbook is told of, whatever it does
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {at.name}, line {at.lineno}"
            self.wrong.append("\n  ".join([f"{what}: {where}: {error}", *self.actions]))


def run(runbook: str, parameters: dict[str, str]) -> RunResult | str:
    """Return the result of a run, or the sentence that kept it from being started."""
    info, config = catalog.runbook(runbook), load_config()
    try:
        target = config.target(NAME)
        given = info.validate({"target": NAME, **parameters})
        return runs.run(Order(info, target, given))
    except (UsageError, Refused) as error:
        return str(error)


def demand_sound(result: RunResult) -> None:
    """Nothing of opsnb itself went wrong."""
    assert result.error is None or result.exit_code in _STOPS, result.error
    assert result.exit_code in (*_READS, *_STOPS)
    said = [*(finding.message for finding in result.findings), str(result.error)]
    said += [str(action.error) for action in result.actions]
    broken = [words for words in said if "check itself failed" in words or "Traceback" in words]
    assert broken == []


def unexcused(of: Combination, runbook: str, outcome: Outcome) -> list[str]:
    """Return what is unknown though this combination lets it be known."""
    return [
        f"{runbook}: {check} is unknown: {reason}"
        for check, reason in outcome.lacks.items()
        if not any(lack.excuses(check, reason, of) for lack in LACKS)
    ]


def demand_no_secret(stranger: Shop) -> None:
    """No record has a password or a token, as it is or encoded."""
    secrets = [servers.PASSWORD, quote(servers.PASSWORD, safe=""), stranger.token]
    for path in Path(load_config().store).rglob("*.*"):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        assert not any(secret in text for secret in secrets), path


@each_combination
def test_every_runbook_reads_and_changes_nothing(stranger: Shop) -> None:
    report = Report()
    with users(stranger) as people:
        before = snapshot.take(stranger)
        for runbook, case in CASES.items():
            result = run(runbook, case.parameters)
            after = snapshot.take(stranger)
            different = snapshot.changed(before, after)
            if different:
                report.wrong.append(f"{runbook}: a dry run changed {different}")
            before = after
            if isinstance(result, str):
                report.outcomes[runbook] = Outcome(refused=result)
                report.wrong.append(f"{runbook}: was not started: {result}")
                continue
            report.outcomes[runbook] = outcome_of(result, stranger.folder)
            with report.expecting(runbook):
                demand_sound(result)
            with report.expecting(runbook):
                case.shown(stranger, result)
            report.wrong += unexcused(stranger.of, runbook, report.outcomes[runbook])
        done = people.go_home()
        with report.expecting("the users"):
            people.demand_all_was_done_once(done)
            assert done["refused"] == 0
    with report.expecting("records"):
        demand_no_secret(stranger)
    report.wrong += compare(stranger.of, "reads", report.outcomes)
    assert not report.wrong, "\n".join(report.wrong)


@each_combination
def test_every_runbook_acts_as_planned_and_leaves_the_rest_alone(stranger: Shop) -> None:
    report = Report()
    with users(stranger) as people:
        for runbook, case in CASES.items():
            if case.apply is None:
                continue
            with report.expecting(runbook):
                _act(stranger, report, runbook, case)
            report.wrong += unexcused(stranger.of, runbook, report.outcomes[runbook])
        done = people.go_home()
        with report.expecting("the users"):
            people.demand_all_was_done_once(done)
    with report.expecting("records"):
        demand_no_secret(stranger)
    report.wrong += compare(stranger.of, "acts", report.outcomes)
    assert not report.wrong, "\n".join(report.wrong)


def _act(stranger: Shop, report: Report, runbook: str, case: Case) -> None:
    report.actions = []
    case.prepare(stranger)
    before = snapshot.take(stranger)
    given = {**case.parameters, **(case.apply or {}), "apply": "true", "confirm": NAME}
    result = run(runbook, given)
    after = snapshot.take(stranger)
    if isinstance(result, str):
        report.outcomes[runbook] = Outcome(refused=result)
        raise AssertionError(f"was not started: {result}")
    report.outcomes[runbook] = outcome_of(result, stranger.folder)
    report.actions = [
        f"{action.name} {action.state}, {action.applied} of {action.planned}: {action.summary}"
        for action in result.actions
    ]
    different = snapshot.changed(before, after, *case.changes)
    demand_sound(result)
    refusal = case.refused(stranger.of)
    if refusal:
        stopped = report.outcomes[runbook].refused
        assert refusal in stopped, f"it must refuse because of {refusal}: {stopped or 'it acted'}"
    else:
        assert result.exit_code in _READS, result.error
        assert snapshot.changed(before, after) or not case.changes, "it changed nothing"
        for action in result.actions:
            assert action.state is ActionState.APPLIED, f"{action.name}: {action.error}"
            assert action.applied == action.planned, action.name
        case.effect(stranger, result)
    assert different == [], f"it changed {different}"


def test_the_page_is_made_from_what_was_found() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "make compatibility"


def test_every_runbook_has_a_case() -> None:
    assert set(CASES) == {info.id for info in catalog.runbooks()}
