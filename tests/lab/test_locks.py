"""What is acted on by hand is locked: once for a whole JupyterLab, and only while it is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.errors import Locked
from opsnb.headless.locks import held
from opsnb.lab.locks import Locks, demand_free
from opsnb.lab.run import begin_by_hand
from opsnb.model import RunResult
from opsnb.records.store import Store

RUNBOOK = catalog.runbook("queues/pause")


def run_on(target: str) -> RunResult:
    return begin_by_hand(RUNBOOK, RUNBOOK.path.read_bytes(), {"target": target, "apply": True})


def locked(store: Store) -> set[str]:
    return {path.stem for path in Path(store.url).glob(".locks/*.json")}


def test_what_is_wanted_is_held_and_nothing_else(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    locks = Locks(store)
    assert locks.hold({"a": run_on("a"), "b": run_on("b")}) == {}
    assert locked(store) == {"a", "b"}
    assert locks.hold({"a": run_on("a")}) == {}  # another runbook on the same target
    assert locked(store) == {"a"}
    locks.hold({})
    assert locked(store) == set()


def test_a_target_that_another_run_acts_on_is_told_once_until_it_is_free(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    locks, wanted = Locks(store), {"a": run_on("a")}
    with held(store, "a", run_on("a")):
        sentence = locks.hold(wanted)["a"]
        assert sentence.startswith("Do not act on a yet. Target a is locked: ")
        assert locks.hold(wanted) == {}
    assert locks.hold(wanted) == {}
    with pytest.raises(Locked):
        demand_free(store, RUNBOOK, {"target": "a"}, None)
    locks.hold({})
    demand_free(store, RUNBOOK, {"target": "a"}, None)
    assert locked(store) == set()


def test_others_read_since_when_nothing_is_at_work(tmp_path: Path) -> None:
    store, since = Store(str(tmp_path)), datetime(2026, 11, 28, 14, 20, tzinfo=UTC)
    locks, wanted = Locks(store), {"a": run_on("a")}
    locks.hold(wanted, {"a": since})
    with pytest.raises(Locked) as caught:
        demand_free(store, RUNBOOK, {"target": "a"}, None)
    refused = str(caught.value)
    assert "has queues/pause open in JupyterLab with apply = True" in refused
    assert "idle since 2026-11-28 14:20 UTC" in refused
    assert "shut down its kernel" in refused
    locks.hold(wanted, {"a": None})
    with pytest.raises(Locked) as caught:
        demand_free(store, RUNBOOK, {"target": "a"}, None)
    assert "idle" not in str(caught.value)
    locks.hold({})


def test_a_target_that_is_typed_as_a_path_locks_nothing_elsewhere(tmp_path: Path) -> None:
    store, typed = Store(str(tmp_path / "store")), "../../elsewhere/x"
    locks = Locks(store)
    assert locks.hold({typed: run_on(typed)}) == {}
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "store" / ".locks"]
    locks.hold({})
