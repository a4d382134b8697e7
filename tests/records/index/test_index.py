"""The index of real stores: always what the records say, however often, by how many, and killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

from opsnb.config.places import cache_home
from opsnb.model import ActionRecord, ActionState, Finding, Remedy, RunResult, Status, Threshold
from opsnb.records import stored
from opsnb.records.index import Index
from opsnb.records.store import Store
from opsnb.records.verdict import worst_sentence
from opsnb.redaction import Redactor
from tests.records.test_store import START, keep, make_notebook, make_result, store, url

__all__ = ["store", "url"]  # fixtures

LIMITS = Threshold(metric="disk_used_percent", label="Disk", unit="%", warn=80, crit=90)
FULL = Finding(
    name="host.disk",
    title="Disk",
    status=Status.CRIT,
    message="95 % used.",
    value=95.0,
    unit="%",
    threshold=LIMITS,
    rows=[{"mount": "/", "used_percent": 95.0}],
    remedies=[Remedy(runbook="maintenance/weekly", target="demo")],
    started=START,
)
CLEARED = ActionRecord(
    id="1",
    name="cache.clear",
    title="Clear the cache",
    target="demo",
    state=ActionState.APPLIED,
    planned=3,
    applied=3,
    verified=True,
    unit="keys",
    started=START,
    finished=START + timedelta(seconds=1),
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder for each test, which holds the index of its own store alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def run_ids(index: Index) -> list[str]:
    index.refresh()
    return [row["run_id"] for row in index.read("SELECT run_id FROM runs ORDER BY run_id")]


def count(index: Index, table: str) -> int:
    (row,) = index.read(f"SELECT count(*) AS number FROM {table}")
    return int(row["number"])


def files() -> list[Path]:
    return sorted((cache_home() / "records").glob("*.sqlite3"))


def test_a_record_is_in_the_tables_as_it_is_in_its_file(store: Store) -> None:
    result = keep(
        store,
        make_result(
            findings=[FULL],
            actions=[CLEARED],
            status=Status.CRIT,
            exit_code=2,
            incident="disk",
            trigger="schedule daily",
            parent="20261101T000000Z-a-demo-0000",
        ),
    )
    index = store.index
    (run,) = index.read("SELECT * FROM runs")
    assert run["run_id"] == result.run_id
    assert (run["runbook"], run["target"], run["operator"]) == ("health/daily", "demo", "ann")
    assert (run["status"], run["outcome"], run["exit_code"]) == ("crit", "crit", 2)
    assert (run["incident"], run["trigger"]) == ("disk", "schedule daily")
    assert run["parent"] == "20261101T000000Z-a-demo-0000"
    assert run["started"] == "2026-11-23T07:15:00.000000+00:00"
    assert (run["acted"], run["open"], run["ended"], run["is_summary"]) == (1, 0, 1, 0)
    assert run["sentence"] == worst_sentence(result)
    assert run["next"] == "opsnb run maintenance/weekly -t demo"
    (finding,) = index.read("SELECT * FROM findings")
    assert (finding["name"], finding["label"], finding["value"]) == ("host.disk", "Disk", 95.0)
    assert (finding["warn"], finding["crit"], finding["counted"]) == (80, 90, 1)
    assert finding["evidence"] == '[{"mount":"/","used_percent":95.0}]'
    (action,) = index.read("SELECT * FROM actions")
    assert (action["name"], action["applied"], action["verified"]) == ("cache.clear", 3, 1)
    assert action["at"] == run["started"]


def test_the_members_of_a_fleet_are_known(store: Store) -> None:
    result = make_result(target="all")
    result.fleet = result.run_id
    member = "20261123T071500Z-health.daily-web-1-aaaa"
    result.findings = [
        Finding(
            name="fleet.web-1",
            title="web-1",
            status=Status.WARN,
            message="Slow.",
            rows=[{"exit_code": 1, "run": member}],
        )
    ]
    keep(store, result)
    (row,) = store.index.read("SELECT * FROM members")
    assert (row["target"], row["status"], row["member_run_id"]) == ("web-1", "warn", member)


class Reads:
    """Which records are read while this is in force."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        read = stored.read

        def noted(files: Any, path: str, limit: int) -> bytes:
            self.paths.append(path)
            return read(files, path, limit)

        monkeypatch.setattr(stored, "read", noted)

    def of(self, work: Callable[[], object]) -> int:
        """Return how many records `work` reads."""
        self.paths.clear()
        work()
        return len(self.paths)


def settled(store: Store) -> None:
    """Make the files of a store as old as those of a real one are."""
    if store.place.folder:
        for path in store.place.folder.rglob("result.json"):
            os.utime(path, (time.time() - 60,) * 2)


def test_only_what_is_new_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in range(5):
        keep(store, make_result(START + timedelta(days=days)))
    settled(store)
    reads = Reads(monkeypatch)
    assert reads.of(lambda: run_ids(store.index)) == 5
    assert reads.of(lambda: run_ids(store.index)) == 0
    assert reads.of(lambda: run_ids(Index(store.place))) == 0
    new = keep(store, make_result(START + timedelta(days=9)))
    assert reads.of(lambda: run_ids(store.index)) == 1
    assert run_ids(store.index)[-1] == new.run_id


def test_an_open_run_is_read_again_and_keeps_its_id(store: Store) -> None:
    result = keep(store, make_result(open=True, findings=[FULL], actions=[CLEARED]))
    run_ids(store.index)
    (before,) = store.index.read("SELECT id, open FROM runs")
    later = result.model_copy(update={"open": False, "findings": [], "incident": "x"})
    store.update(later, make_notebook(later), Redactor())
    run_ids(store.index)
    (after,) = store.index.read("SELECT id, open, incident FROM runs")
    assert (after["id"], after["open"], after["incident"]) == (before["id"], 0, "x")
    assert (count(store.index, "findings"), count(store.index, "actions")) == (0, 1)


def test_a_changed_byte_is_seen_though_the_size_is_the_same(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "records"))
    result = keep(store, make_result())
    settled(store)
    assert run_ids(store.index) == [result.run_id]
    path = Path(store.folder(result.run_id), "result.json")
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"bob"'))
    run_ids(store.index)
    assert [row["operator"] for row in store.index.read("SELECT operator FROM runs")] == ["bob"]
    # At once again: by the clock of the file system, nothing has happened.
    path.write_bytes(path.read_bytes().replace(b'"bob"', b'"eve"'))
    run_ids(store.index)
    assert [row["operator"] for row in store.index.read("SELECT operator FROM runs")] == ["eve"]


def test_what_is_gone_is_forgotten(store: Store) -> None:
    gone = keep(store, make_result(findings=[FULL], actions=[CLEARED]))
    left = keep(store, make_result(START + timedelta(days=40)))
    settled(store)
    store.index.refresh(texts=True)
    assert count(store.index, "texts") == 2
    store.place.files.rm(store._path(gone.run_id), recursive=True)
    assert run_ids(store.index) == [left.run_id]
    assert count(store.index, "findings") == 1
    assert count(store.index, "actions") == 0
    assert count(store.index, "texts") == 1


def test_a_damaged_record_is_named_until_it_is_whole_again(store: Store) -> None:
    good, bad = keep(store, make_result()), keep(store, make_result(START + timedelta(days=1)))
    path = f"{store._path(bad.run_id)}/result.json"
    whole = store.place.files.cat_file(path)
    store.place.files.pipe_file(path, b"{")
    assert run_ids(store.index) == [good.run_id]
    assert "opsnb records reindex" in store.index.broken()[bad.run_id]
    store.place.files.pipe_file(path, whole)
    assert run_ids(store.index) == [good.run_id, bad.run_id]
    assert store.index.broken() == {}


def test_a_number_that_no_table_takes_does_not_lose_the_record(store: Store) -> None:
    huge = CLEARED.model_copy(update={"planned": 10**30, "applied": -(10**30)})
    keep(store, make_result(actions=[huge]))
    (row,) = store.index.read("SELECT planned, applied FROM actions")
    assert row["planned"] == 2**63 - 1
    assert row["applied"] < 0


def test_a_narrow_refresh_reads_what_is_asked_for_and_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days, target in ((0, "a"), (50, "a"), (50, "b")):
        keep(store, make_result(START + timedelta(days=days), target=target))
    reads = Reads(monkeypatch)
    since = START + timedelta(days=10)
    assert reads.of(lambda: store.index.refresh(since=since, target="a")) == 1
    assert len(run_ids(store.index)) == 3


def test_a_store_whose_driver_takes_several_requests_at_once_is_read_so() -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    kept = [keep(store, make_result(START + timedelta(days=days))) for days in range(70)]
    store.place.files.pipe_file(f"{store._path(kept[3].run_id)}/result.json", b"{")
    store.place.files = AsyncFileSystemWrapper(store.place.files)
    store.index.refresh(texts=True)
    assert run_ids(store.index) == [run.run_id for run in kept if run is not kept[3]]
    assert list(store.index.broken()) == [kept[3].run_id]
    assert count(store.index, "texts") == 69


def test_much_that_is_new_shows_how_far_it_is(store: Store) -> None:
    shown: list[str] = []
    store.index.progress = shown.append
    keep(store, make_result())
    run_ids(store.index)
    assert shown == []
    for days in range(200):
        keep(store, make_result(START + timedelta(days=days)))
    store.index.discard()
    run_ids(store.index)
    assert shown[0] == "Reading 201 records: 0 %"
    assert len(shown) == 5


def test_the_file_is_private(store: Store) -> None:
    keep(store, make_result())
    run_ids(store.index)
    (file,) = files()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


# -- a file that is damaged, cannot be written, or is not there


def cut(path: Path) -> None:
    os.truncate(path, 0)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    noise = random.Random(1)
    for place in range(100, len(data), 50):
        data[place] = noise.randrange(256)
    path.write_bytes(data)


def replace(path: Path) -> None:
    path.write_bytes(b"This is no database." * 1000)


def remove(path: Path) -> None:
    path.unlink()


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def drop_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE findings")


@pytest.mark.parametrize(
    "damage", [cut, halve, scribble, replace, remove, put_a_folder, drop_a_table]
)
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_damaged_file_is_made_again(
    tmp_path: Path, damage: Callable[[Path], None], when: str
) -> None:
    store = Store(str(tmp_path / "records"))
    kept = [keep(store, make_result(START + timedelta(days=days))) for days in range(30)]
    expected = [result.run_id for result in kept]
    store.index.refresh(texts=True)
    (file,) = files()
    damage(file)
    index = Index(store.place) if when == "before" else store.index
    sql = "SELECT run_id, (SELECT count(*) FROM findings WHERE run = id) AS found FROM runs"
    assert sorted(row["run_id"] for row in index.read(sql)) == expected
    assert {row["found"] for row in index.read(sql)} == {1}
    assert run_ids(Index(store.place)) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT status FROM runs JOIN findings ON run = runs.id",
        "SELECT colour FROM runs",
        "SELECT FROM",
        "SELECT run_id FROM runs WHERE target = :unnamed",
    ],
)
def test_an_error_in_a_readers_sql_is_raised_and_the_file_stays(store: Store, sql: str) -> None:
    result = keep(store, make_result())
    assert run_ids(store.index) == [result.run_id]
    before = files()
    with pytest.raises(sqlite3.Error):
        store.index.read(sql)
    assert files() == before
    assert run_ids(store.index) == [result.run_id]


@pytest.fixture
def _nowhere_else(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches and temporary files on the small disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))


@pytest.mark.usefixtures("_nowhere_else")
def test_without_a_place_to_write_it_is_in_memory(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    store = Store(str(tmp_path / "records"))
    result = keep(store, make_result(findings=[FULL]))
    assert run_ids(store.index) == [result.run_id]
    later = keep(store, make_result(START + timedelta(days=1)))
    assert run_ids(store.index) == [result.run_id, later.run_id]
    store.index.discard()
    assert run_ids(store.index) == [result.run_id, later.run_id]


@pytest.mark.usefixtures("_nowhere_else")
def test_a_disk_that_fills_up_is_no_error(small_disk: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "records"))
    long = FULL.model_copy(update={"rows": [{"line": "x" * 10_000}]})
    kept = [keep(store, make_result(START + timedelta(days=day), findings=[long] * 5))
            for day in range(10)]  # fmt: skip
    assert run_ids(store.index) == [result.run_id for result in kept]
    assert count(store.index, "findings") == 50


def test_without_a_home_it_is_among_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = Store(str(tmp_path / "records"))
    result = keep(store, make_result())
    assert run_ids(store.index) == [result.run_id]
    folder = tmp_path / f"opsnb-{os.geteuid()}" / "records"
    assert len(list(folder.glob("*.sqlite3"))) == 1
    # What others may have put there is not used.
    shutil.rmtree(folder)
    folder.parent.chmod(0o777)
    other = Store(str(tmp_path / "records"))
    assert run_ids(other.index) == [result.run_id]
    assert not folder.exists()


# -- several processes, some of them killed

REFRESHING = """
import sys
from opsnb.records.reader import Reader
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    index = Reader(sys.argv[1]).index
    index.refresh(texts=True)
    print(index.read("SELECT count(*) FROM runs")[0][0], flush=True)
    if len(sys.argv) > 3:
        index.discard()
"""


def refreshing(folder: Path, times: int, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", REFRESHING, folder, str(times), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def many(folder: Path, number: int) -> list[RunResult]:
    store = Store(str(folder))
    return [keep(store, make_result(START + timedelta(hours=hour))) for hour in range(number)]


def test_processes_side_by_side_all_know_everything(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    many(folder, 60)
    processes = [refreshing(folder, 5) for _ in range(3)]
    processes.append(refreshing(folder, 5, "discard"))
    for process in processes:
        out, errors = process.communicate()
        assert errors == ""
        assert out.splitlines() == ["ready", *["60"] * 5]
    assert len(run_ids(Store(str(folder)).index)) == 60


def test_a_process_that_is_killed_leaves_an_index_that_can_be_used(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    expected = [result.run_id for result in many(folder, 60)]
    store = Store(str(folder))
    settled(store)
    chance = random.Random(3)
    for _ in range(6):
        store.index.discard()
        process = refreshing(folder, 1000)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        index = Index(store.place)
        index.refresh(texts=True)
        assert run_ids(index) == expected
        assert count(index, "findings") == count(index, "texts") == 60


def test_stores_do_not_share_an_index(tmp_path: Path) -> None:
    one, other = (Store(f"memory://{uuid.uuid4().hex}") for _ in range(2))
    result = keep(one, make_result())
    assert run_ids(one.index) == [result.run_id]
    assert run_ids(other.index) == []
