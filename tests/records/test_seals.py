"""Seals on real folders: eight writers at once, one of them killed again and again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest

from opsnb.model import RunResult, Seal, now
from opsnb.records import heads, seals, verify
from opsnb.records.contents import record_files
from opsnb.records.seals import Sealed
from opsnb.records.store import Store
from opsnb.records.verify import Verification
from opsnb.redaction import Redactor
from tests.records.test_store import START, keep, make_notebook, make_result

WRITERS, EACH = 8, 143
"""The seven that are not killed write 1,001 records."""


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        yield Store(str(tmp_path / "records"))
        return
    root = f"memory://{uuid.uuid4().hex}"
    yield Store(root)
    fsspec.filesystem("memory").rm(root, recursive=True)


def verified(store: Store) -> list[tuple[str, str]]:
    """Return what is wrong with which record."""
    with Verification(Store(store.address)) as verification:
        verification.read()
        return [(wrong.kind, wrong.run_id) for wrong in verification.wrong()]


def counts(store: Store) -> dict[str, int]:
    with Verification(store) as verification:
        verification.read()
        return {state: count for state, count in verification.counts.items() if count}


def seal_of(result: RunResult) -> Seal:
    assert result.seal
    return result.seal


def several(store: Store, count: int = 5) -> list[RunResult]:
    return [keep(store, make_result(START + timedelta(minutes=each))) for each in range(count)]


def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what was written a moment ago count as written long ago."""
    monkeypatch.setattr(verify, "_SLACK_S", 0.0)


def writer(store: Store, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.records.writers", store.address, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_eight_writers_of_whom_one_is_killed_again_and_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "records"))
    kept: list[str] = []
    with ExitStack() as running:
        others = [running.enter_context(writer(store, EACH)) for _ in range(WRITERS - 1)]
        for other in others:
            running.callback(other.kill)
        kills = 0
        while kills < 3 or any(other.poll() is None for other in others):
            killed = running.enter_context(writer(store, EACH))
            assert killed.stdout
            kept.append(killed.stdout.readline().strip())  # it is at work
            time.sleep(random.uniform(0, 0.3))
            killed.kill()
            kept += killed.stdout.read().split()
            kills += 1
        for other in others:
            assert other.stdout
            kept += other.stdout.read().split()
            assert other.wait() == 0
    assert len(kept) > (WRITERS - 1) * EACH
    found = {result.run_id for result in store.results()}
    assert store.broken == {}
    # A killed writer may have kept one more than it could say.
    assert set(kept) <= found
    assert len(found) <= len(kept) + kills
    assert verified(store) == []
    assert counts(store) == {"sealed": len(found)}
    last = keep(store, make_result())
    assert verified(store) == []
    assert [head.run_id for head in store.heads.marked()] == [last.run_id]


@pytest.mark.parametrize("name", ["result.json", "record.ipynb"])
def test_a_flipped_byte_is_found_wherever_it_is(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path))
    run_id = several(store)[2].run_id
    path = Path(store.folder(run_id), name)
    whole = path.read_bytes()
    for place in (*range(0, len(whole), 97), whole.rindex(b'"at"') + 10, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert verified(store) in ([("changed", run_id)], [("damaged", run_id)])
    path.write_bytes(whole)
    assert verified(store) == []


@pytest.mark.parametrize("number", range(5))
def test_a_deleted_record_is_found_the_newest_too(store: Store, number: int) -> None:
    run_id = several(store)[number].run_id
    store.place.files.rm(store.place.record(run_id), recursive=True)
    assert verified(store) == [("removed", run_id)]


def test_a_record_that_was_changed_and_sealed_again_is_found(store: Store) -> None:
    changed = several(store)[2]
    changed.operator = "eve"
    files = store.place.files
    with store._sealed(changed, make_notebook(changed), Redactor(), is_final=True) as made:
        for name, data in made.items():
            files.pipe_file(store.place.record(changed.run_id, name), data)
    assert ("changed", changed.run_id) in verified(store)


def test_a_seal_that_was_taken_away_is_found(store: Store) -> None:
    run_id = several(store)[2].run_id
    path = store.place.record(run_id, "result.json")
    fields = json.loads(store.place.files.cat_file(path))
    del fields["seal"]
    store.place.files.pipe_file(path, json.dumps(fields).encode())
    assert verified(store) == [("changed", run_id)]


def insert(store: Store, result: RunResult) -> RunResult:
    """Put a record into `store` without its markers."""
    files = record_files(result, make_notebook(result), Redactor())
    store.place.files.makedirs(store.place.record(result.run_id), exist_ok=True)
    for name, data in files.items():
        store.place.files.pipe_file(store.place.record(result.run_id, name), data)
    return result


def test_a_record_that_was_put_in_later_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rest(monkeypatch)
    before = several(store)[1]
    forged = make_result(START + timedelta(minutes=1, seconds=1))
    at = seal_of(before).at + timedelta(microseconds=1)
    forged.seal = Seal(at=at, previous={before.run_id: seal_of(before).sha256})
    insert(store, forged)
    assert verified(store) == [("inserted", forged.run_id)]
    # A marker of its own makes the next record name it, but not those written in between.
    head = Sealed(forged.run_id, seal_of(forged).sha256, seal_of(forged).at)
    store.heads._write(head.sha256, head)
    last = keep(store, make_result())
    assert forged.run_id in seal_of(last).previous
    assert verified(store) == [("inserted", forged.run_id)]


def test_a_record_without_a_seal_is_an_old_one_or_was_put_in(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = insert(store, make_result(START))
    assert (verified(store), counts(store)) == ([], {"unsealed": 1})
    several(store)
    assert verified(store) == []
    insert(store, make_result(now() + timedelta(seconds=1), open=True))
    assert (verified(store), counts(store)) == ([], {"sealed": 5, "unsealed": 1, "open": 1})
    forged = insert(store, make_result(now() + timedelta(seconds=1)))
    assert verified(store) == [("inserted", forged.run_id)]
    assert old.run_id != forged.run_id


def test_what_a_lost_record_named_is_not_taken_for_put_in(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rest(monkeypatch)
    kept = several(store)
    for lost in kept[1:3]:
        store.place.files.rm(store.place.record(lost.run_id), recursive=True)
    assert verified(store) == [("removed", kept[2].run_id)]


def test_a_damaged_result_is_made_again_with_its_seal(store: Store) -> None:
    run_id = several(store)[2].run_id
    path = store.place.record(run_id, "result.json")
    whole = store.place.files.cat_file(path)
    store.place.files.pipe_file(path, b"{")
    assert verified(store) == [("damaged", run_id)]
    assert store.reindex() == [run_id]
    assert store.place.files.cat_file(path) == whole
    assert verified(store) == []


def test_the_record_of_an_open_run_is_sealed_when_it_ends(store: Store) -> None:
    opened = keep(store, make_result(open=True))
    assert opened.seal is None
    ended = opened.model_copy(update={"open": False})
    store.update(ended, make_notebook(ended), Redactor(), is_final=False)
    assert counts(store) == {"unsealed": 1}
    store.seal(opened.run_id, Redactor())
    assert counts(store) == {"sealed": 1}
    sealed = store.result(opened.run_id)
    store.seal(opened.run_id, Redactor())
    assert store.result(opened.run_id) == sealed


def test_without_markers_the_newest_records_are_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rest(monkeypatch)
    newest = several(store)[-1]
    store.place.files.rm(store.place.path(heads.HEADS), recursive=True)
    last = keep(store, make_result(START + timedelta(hours=1)))
    assert list(seal_of(last).previous) == [newest.run_id]
    assert verified(store) == []


def test_a_clock_that_is_behind_does_not_break_the_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rest(monkeypatch)
    first = several(store)[-1]
    monkeypatch.setattr(seals, "now", lambda: now() - timedelta(hours=1))
    behind = several(store, 2)[-1]
    monkeypatch.undo()
    at_rest(monkeypatch)
    last = keep(store, make_result(START + timedelta(hours=1)))
    assert seal_of(first).at <= seal_of(behind).at <= seal_of(last).at
    assert verified(store) == []


def test_a_writer_that_was_killed_before_its_record_appeared_leaves_no_head(store: Store) -> None:
    newest = several(store)[-1]
    ghost = Sealed(make_result().run_id, "0" * 64, now())
    store.heads._write(f"{ghost.sha256}.new", ghost)
    last = keep(store, make_result(START + timedelta(hours=1)))
    assert list(seal_of(last).previous) == [newest.run_id]
    assert verified(store) == []


def test_a_terabyte_in_place_of_a_record_is_passed_over(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    run_ids = [result.run_id for result in several(store)]
    for run_id, name in zip(run_ids, ("result.json", "record.ipynb"), strict=False):
        path = Path(store.folder(run_id), name)
        path.unlink()
        with path.open("wb") as file:
            file.truncate(10**12)
    assert verified(store) == [("damaged", run_id) for run_id in run_ids[:2]]


def test_the_marker_of_a_killed_writer_is_swept_once_it_is_old(store: Store) -> None:
    several(store)
    for age, sha256 in ((timedelta(minutes=5), "0" * 64), (timedelta(hours=2), "1" * 64)):
        ghost = Sealed(make_result().run_id, sha256, now() - age)
        store.heads._write(f"{sha256}.new", ghost)
    store.heads.current()
    paths = store.place.files.ls(store.place.path(heads.HEADS), detail=False)
    left = [str(path).rpartition("/")[2] for path in paths if str(path).endswith(".new")]
    assert left == [f"{'0' * 64}.new"]
