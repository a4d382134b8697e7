"""Past runs by what is asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from opsnb.errors import UsageError
from opsnb.model import RunResult, Status, now
from opsnb.records import history
from opsnb.records.history import Filters, moment
from opsnb.records.store import Store
from tests.records.index.test_index import CLEARED
from tests.records.test_store import START, keep, make_result, store, url

__all__ = ["store", "url"]  # fixtures


@pytest.fixture
def runs(store: Store) -> dict[str, RunResult]:
    """Four runs, each unlike the others."""
    made = {
        "ok": make_result(),
        "crit": make_result(
            START + timedelta(days=1), "cache/health", "shop", status=Status.CRIT, exit_code=2
        ),
        "acted": make_result(
            START + timedelta(days=2), "cache/clear", actions=[CLEARED], incident="inc-1"
        ),
        "refused": make_result(
            START + timedelta(days=40),
            operator="bob",
            trigger="schedule daily",
            status=Status.UNKNOWN,
            exit_code=77,
            error="Refused, nothing changed.",
            findings=[],
        ),
    }
    for result in made.values():
        keep(store, result)
    return made


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (Filters(), ["refused", "acted", "crit", "ok"]),
        (Filters(runbook="cache/health"), ["crit"]),
        (Filters(runbook="cache/*"), ["acted", "crit"]),
        (Filters(target="shop"), ["crit"]),
        (Filters(target="*o*"), ["refused", "acted", "crit", "ok"]),
        (Filters(status=("crit",)), ["crit"]),
        (Filters(status=("refused", "crit")), ["refused", "crit"]),
        (Filters(status=("unknown",)), ["refused"]),
        (Filters(since=START + timedelta(days=1)), ["refused", "acted", "crit"]),
        (Filters(until=START + timedelta(days=1)), ["ok"]),
        (
            Filters(since=START + timedelta(days=1), until=START + timedelta(days=3)),
            ["acted", "crit"],
        ),
        (Filters(incident="inc-1"), ["acted"]),
        (Filters(operator="bob"), ["refused"]),
        (Filters(trigger="schedule*"), ["refused"]),
        (Filters(acted=True), ["acted"]),
        (Filters(acted=False), ["refused", "crit", "ok"]),
        (Filters(acted=True, status=("crit",)), []),
        (Filters(operator="' OR 1=1 --"), []),
        (Filters(operator="\udce4"), []),
    ],
)
def test_the_runs_that_fit_come_newest_first(
    store: Store, runs: dict[str, RunResult], filters: Filters, names: list[str]
) -> None:
    expected = [runs[name].run_id for name in names]
    assert [run.run_id for run in history.past(store, filters)] == expected
    assert [run.run_id for run in history.past(store, filters, 1)] == expected[:1]
    documents = [json.loads(text) for text in history.documents(store, filters)]
    assert [RunResult.model_validate(each) for each in documents] == [runs[name] for name in names]


def test_pages_join_without_a_gap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [keep(store, make_result(START + timedelta(hours=hour))).run_id for hour in range(7)]
    monkeypatch.setattr(history, "_PAGE", 2)
    assert [run.run_id for run in history.past(store, Filters())] == kept[::-1]
    assert [run.run_id for run in history.past(store, Filters(), 5)] == kept[:1:-1]


def test_damaged_records_are_named_where_they_would_stand(store: Store) -> None:
    kept = [keep(store, make_result(START + timedelta(days=day))) for day in range(4)]
    for result in (kept[0], kept[2]):
        store.place.files.pipe_file(f"{store._path(result.run_id)}/result.json", b"{")
    assert [run.run_id for run in history.past(store, Filters(), 1)] == [kept[3].run_id]
    assert store.broken == {}
    assert len(list(history.past(store, Filters(), 2))) == 2
    assert list(store.broken) == [kept[2].run_id]
    assert len(list(history.past(store, Filters()))) == 2
    assert sorted(store.broken) == [kept[0].run_id, kept[2].run_id]


def test_moments_are_days_times_and_how_long_ago() -> None:
    assert moment("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)
    assert moment("2026-11-23", ends=True) == datetime(2026, 11, 24, tzinfo=UTC)
    assert moment("2026-11-23 07:15", ends=True) == START
    assert moment("2026-11-23T08:15+01:00") == START
    assert abs(now() - timedelta(days=7) - moment("7d")) < timedelta(minutes=1)
    for wrong in ("", "yesterday", "2026-13-01", "9999-12-31x", "99999999999w"):
        with pytest.raises(UsageError, match="is not a time"):
            moment(wrong)
