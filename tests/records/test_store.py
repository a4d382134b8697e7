"""The store on real folders, a real full disk, a killed writer, and a remote file system."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsnb.errors import ConfigError, RunBroke, UsageError
from opsnb.model import FINDING_MIME, ActionRecord, Finding, RunResult, Status
from opsnb.records import stored
from opsnb.records.extract import rebuild
from opsnb.records.store import Store, new_run_id
from opsnb.redaction import MASK, Redactor

START = datetime(2026, 11, 23, 7, 15, tzinfo=UTC)


def make_result(
    started: datetime = START, runbook: str = "health/daily", target: str = "demo", **fields: Any
) -> RunResult:
    return RunResult(
        **{
            "run_id": new_run_id(runbook, target, started),
            "runbook": runbook,
            "runbook_sha256": "0" * 64,
            "target": target,
            "operator": "ann",
            "host": "ops1",
            "parameters": {"target": target},
            "status": Status.OK,
            "exit_code": 0,
            "findings": [
                Finding(name="api.health", status=Status.OK, message="Fine.", started=started)
            ],
            "started": started,
            "finished": started + timedelta(seconds=2),
            "seconds": 2.0,
            "opsnb_version": "0.1.0",
            **fields,
        }
    )


def as_in_notebook(result: RunResult) -> RunResult:
    """Return `result` without what its notebook cannot hold: the hashes of its own seal."""
    copy = result.model_copy(deep=True)
    if copy.seal:
        copy.seal.sha256 = copy.seal.notebook_sha256 = ""
    return copy


def make_notebook(result: RunResult, *outputs: dict[str, Any]) -> dict[str, Any]:
    shown = [
        {"output_type": "display_data", "data": {FINDING_MIME: finding.model_dump(mode="json")}}
        for finding in result.findings
    ]
    cell = {"cell_type": "code", "source": "rb.check(api.health)", "outputs": [*shown, *outputs]}
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def keep(store: Store, result: RunResult) -> RunResult:
    store.keep(result, make_notebook(result), Redactor())
    return result


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "records")
        return
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    memory = fsspec.filesystem("memory")
    if memory.exists(root):
        memory.rm(root, recursive=True)


@pytest.fixture
def store(url: str) -> Store:
    return Store(url)


def test_run_ids_are_readable_and_sort_by_time() -> None:
    first = new_run_id("health/daily", "demo", START)
    second = new_run_id("a/b", "a", START + timedelta(seconds=1))
    assert first.startswith("20261123T071500Z-health.daily-demo-")
    assert len(first.rpartition("-")[2]) == 4
    assert first < second
    assert "/" not in new_run_id("a/b/c", "../../etc x", START)


def test_a_record_comes_back_as_it_went(store: Store) -> None:
    result = make_result()
    notebook = make_notebook(result)
    location = store.keep(result, notebook, Redactor())
    assert location.endswith(f"2026/11/{result.run_id}")
    assert location == store.folder(result.run_id)
    assert store.result(result.run_id) == result
    assert store.notebook(result.run_id) == notebook
    assert list(store.results()) == [result]
    assert store.broken == {}


def test_a_folder_holds_the_two_files_and_nothing_else(tmp_path: Path) -> None:
    result = keep(Store(str(tmp_path)), make_result())
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    folder = f"2026/11/{result.run_id}"
    assert result.seal
    head = f".heads/{result.seal.sha256}"
    assert files == [head, f"{folder}/record.ipynb", f"{folder}/result.json"]
    assert json.loads((tmp_path / files[2]).read_text())["status"] == "ok"


def test_the_record_of_an_open_run_is_brought_up_to_date(store: Store) -> None:
    result = keep(store, make_result(open=True))
    later = result.model_copy(update={"open": False, "status": Status.WARN, "error": "hunter22"})
    store.update(later, make_notebook(later), Redactor(["hunter22"]))
    assert store.result(result.run_id).status is Status.WARN
    assert store.result(result.run_id).error == MASK
    assert rebuild(store.notebook(result.run_id)) == as_in_notebook(store.result(result.run_id))
    assert list(store.run_ids()) == [result.run_id]


def test_a_run_id_that_is_taken_gets_another_suffix(store: Store) -> None:
    first = keep(store, make_result())
    again = keep(store, make_result(run_id=first.run_id, operator="bob"))
    assert again.run_id != first.run_id
    assert store.result(first.run_id).operator == "ann"
    assert store.result(again.run_id).operator == "bob"
    assert store.notebook(again.run_id)["metadata"]["opsnb"]["run_id"] == again.run_id
    summary = keep(store, make_result(run_id=first.run_id, fleet=first.run_id))
    assert store.result(summary.run_id).is_summary


def test_results_are_the_newest_first_and_filtered(store: Store) -> None:
    for days, runbook, target in ((0, "a/b", "x"), (40, "a/b", "x-y"), (400, "a/c", "y")):
        keep(store, make_result(START + timedelta(days=days), runbook, target))
    assert [r.runbook for r in store.results()] == ["a/c", "a/b", "a/b"]
    assert [r.target for r in store.results(runbook="a/b")] == ["x-y", "x"]
    assert [r.runbook for r in store.results(target="y")] == ["a/c"]
    assert [r.target for r in store.results(limit=2)] == ["y", "x-y"]
    assert list(store.results(limit=0)) == []
    since = START + timedelta(days=40)
    assert [r.target for r in store.results(since=since)] == ["y", "x-y"]
    assert [r.target for r in store.results(since=since + timedelta(seconds=1))] == ["y"]


def test_no_more_is_read_than_needed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in range(0, 200, 40):
        keep(store, make_result(START + timedelta(days=days)))
        keep(store, make_result(START + timedelta(days=days), target="other"))
    read: list[str] = []

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(fs: Any, path: str, *args: Any, **kwargs: Any) -> Any:
            read.append(path)
            return method(fs, path, *args, **kwargs)

        return noted

    for owner, name in ((type(store.place.files), "ls"), (stored, "read")):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name)))
    since = START + timedelta(days=150)
    assert len(list(store.results(target="other", since=since))) == 1
    # The years, one year, one month, and the result: for the index, and for itself.
    assert len(read) == 5
    assert {path.rpartition("/")[0] for path in read if "other" in path} == {
        store._path(run_id) for run_id in store.run_ids(since=since) if "other" in run_id
    }


def test_an_empty_store_has_no_results(store: Store) -> None:
    assert list(store.results()) == []
    assert store.reindex() == []
    with pytest.raises(UsageError, match="is empty"):
        store.result("latest")


def test_part_of_an_id_is_enough_when_it_fits_one_run(store: Store) -> None:
    old = keep(store, make_result(run_id="20261123T071500Z-health.daily-demo-aaaa"))
    new = keep(store, make_result(run_id="20261124T071500Z-health.daily-demo-bbbb"))
    assert store.find("latest") == new.run_id
    assert store.find("20261123") == old.run_id
    assert store.find("aaaa") == old.run_id
    with pytest.raises(UsageError, match="matches 2 runs"):
        store.find("2026")
    with pytest.raises(UsageError, match=f"Did you mean '{new.run_id}'"):
        store.result("20261124T071500Z-health.daly-demo-bbbc")
    for stray in ("", "../../etc", "nothing"):
        with pytest.raises(UsageError, match="There is no run"):
            store.notebook(stray)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"run_id": 1}', b"\xff\xfe\x00", None])
def test_a_broken_result_is_reported_and_can_be_made_again(
    store: Store, damage: bytes | None
) -> None:
    good, bad = keep(store, make_result()), keep(store, make_result(START + timedelta(hours=1)))
    path = f"{store._path(bad.run_id)}/result.json"
    if damage is None:
        store.place.files.rm(path)
    else:
        store.place.files.pipe_file(path, damage)
    assert list(store.results()) == [good]
    assert "opsnb records reindex" in store.broken[bad.run_id]
    with pytest.raises(RunBroke, match="reindex"):
        store.result(bad.run_id)
    assert store.reindex() == [bad.run_id]
    assert store.broken == {}
    assert list(store.results()) == [bad, good]


def test_a_record_that_is_broken_wholly_is_left_and_told(store: Store) -> None:
    bad = keep(store, make_result())
    for name in ("record.ipynb", "result.json"):
        store.place.files.pipe_file(f"{store._path(bad.run_id)}/{name}", b"{")
    assert store.reindex() == []
    assert bad.run_id in store.broken


def test_a_remote_record_without_its_result_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    fs = type(store.place.files)
    pipe = fs.pipe_file

    def failing(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if path.endswith("result.json"):
            raise ConnectionError("the bucket is gone")
        return pipe(self, path, *args, **kwargs)

    monkeypatch.setattr(fs, "pipe_file", failing)
    with pytest.raises(RunBroke, match="the bucket is gone"):
        keep(store, make_result())
    assert list(store.run_ids()) == []


def test_what_the_driver_needs_is_told() -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        Store("nosuch://u:hunter2hunter2@bucket/x")
    with pytest.raises(ConfigError) as refused:
        Store("nosuch://u:hunter2hunter2@bucket/x")
    assert "hunter2" not in str(refused.value)


def test_another_run_id_than_ours_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="not a run id"):
        keep(store, make_result(run_id="../../x"))


def test_half_characters_and_numbers_that_are_none_can_be_kept(store: Store) -> None:
    result = make_result()
    result.findings[0].value = float("nan")
    store.keep(result, make_notebook(result, {"text": "cut \ud83d"}), Redactor())
    assert store.result(result.run_id).findings[0].value is None
    assert "cut ?" in json.dumps(store.notebook(result.run_id))


# -- disks that will not take it


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_clean(folder: Path) -> None:
    assert left_in(folder) == []
    writing = folder / ".writing"
    assert not writing.exists() or list(writing.iterdir()) == []


def test_a_full_disk_is_told_and_nothing_is_left(small_disk: Path) -> None:
    store, result = Store(str(small_disk)), make_result()
    big = make_notebook(result, {"output_type": "stream", "text": "line\n" * 200_000})
    with pytest.raises(RunBroke, match=r"No space left on device\. Free space"):
        store.keep(result, big, Redactor())
    assert_clean(small_disk)
    keep(store, result)
    assert list(store.results()) == [result]


def test_a_full_disk_leaves_an_open_record_as_it_was(small_disk: Path) -> None:
    store = Store(str(small_disk))
    result = keep(store, make_result(open=True))
    before = left_in(small_disk)
    later = result.model_copy(update={"open": False})
    big = make_notebook(later, {"output_type": "display_data", "data": {"text/plain": "x" * 10**6}})
    with pytest.raises(RunBroke, match="No space left on device"):
        store.update(later, big, Redactor())
    assert left_in(small_disk) == before
    assert list(store.results()) == [result]


def test_a_read_only_store_is_told(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RunBroke, match=r"Read-only file system\. Make it writable"):
        keep(Store(str(small_disk)), make_result())


AS_NOBODY = """
import os, sys
from opsnb.errors import RunBroke
from tests.records.test_store import keep, make_result
from opsnb.records.store import Store
store, result = Store(sys.argv[1]), make_result()
if os.getuid() == 0:
    os.setuid(65534)
try:
    keep(store, result)
except RunBroke as error:
    print(error)
"""


def test_no_permission_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir(mode=0o555)
    run = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, folder], capture_output=True, text=True, check=True
    )
    assert "Permission denied. Make it writable" in run.stdout
    assert_clean(folder)


def test_a_store_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("not a folder")
    with pytest.raises(ConfigError, match="is not a folder"):
        Store(str(tmp_path / "records"))


# -- writers that are killed, writers side by side

WRITER = """
import sys
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.records.test_store import make_notebook, make_result
store = Store(sys.argv[1])
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    result = make_result()
    text = "line\\n" * int(sys.argv[3])
    store.keep(result, make_notebook(result, {"output_type": "stream", "text": text}), Redactor())
"""


def writer(folder: Path, times: int, lines: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, folder, str(times), str(lines)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_killed_writer_leaves_whole_records_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for attempt in range(8):
        process = writer(tmp_path, 10_000, 2_000)
        time.sleep(0.02 + attempt * 0.013)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for result in store.results():
            assert store.notebook(result.run_id)["metadata"]["opsnb"]["run_id"] == result.run_id
        assert store.broken == {}


def test_what_a_killed_writer_left_is_swept_after_a_day(tmp_path: Path) -> None:
    for name, age_s in (("old", 2 * 86400), ("young", 60)):
        left = tmp_path / ".writing" / name
        left.mkdir(parents=True)
        (left / "record.ipynb").write_text("{")
        os.utime(left, (time.time() - age_s,) * 2)
    keep(Store(str(tmp_path)), make_result())
    assert [left.name for left in (tmp_path / ".writing").iterdir()] == ["young"]


def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    # All with the same runbook, target and second, so that ids do collide.
    writers = [writer(tmp_path, 100, 1) for _ in range(4)]
    assert [process.wait() for process in writers] == [0] * 4
    store = Store(str(tmp_path))
    assert len({result.run_id for result in store.results()}) == 400
    assert store.broken == {}


# -- redaction


@settings(max_examples=50, deadline=None)
@given(st.from_regex(r"[a-z]\w{3,10}[-/@:&<>\"'\\ %+é]\w{4,10}[0-9]", fullmatch=True))
def test_no_secret_reaches_the_store(secret: str) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    finding = Finding(
        name="x.y", status=Status.CRIT, message=f"refused {secret}", rows=[{secret: [secret]}]
    )
    result = make_result(
        parameters={"url": f"redis://:{secret}@h", "nested": [{"a": secret}]},
        findings=[finding],
        actions=[ActionRecord(id="a", name="a", title="a", target="t", command=f"psql '{secret}'")],
        error=f"broke on {secret}",
        operator=secret,
    )
    notebook = make_notebook(
        result,
        {"output_type": "stream", "text": [f"a {secret[:1]}\n", f"{secret}\n", secret]},
        {"data": {"text/html": [f"<table><td>{html.escape(secret)}</td>\n", "</table>"]}},
        {"output_type": "error", "traceback": [secret, f"\x1b[31m{secret!r}\x1b[0m"]},
        {"data": {"image/png": secret}, "metadata": {"by": secret}},
    )
    store.keep(result, notebook, Redactor([secret]))
    for path in store.place.files.find(store.place.root):
        stored = store.place.files.cat_file(path).decode()
        assert MASK in stored or ".heads" in path
        for form in (secret, json.dumps(secret)[1:-1], json.dumps(html.escape(secret))[1:-1]):
            assert form not in stored
    assert store.result(result.run_id).run_id == result.run_id
    assert store.place.files.rm(store.place.root, recursive=True) is None


def test_a_secret_that_streams_out_in_pieces_is_masked(store: Store) -> None:
    result = make_result()
    pieces = [
        {"output_type": "stream", "name": "stdout", "text": text}
        for text in ("a hunter2", "hunter2")
    ]
    store.keep(result, make_notebook(result, *pieces), Redactor(["hunter2hunter2"]))
    assert "hunter2" not in json.dumps(store.notebook(result.run_id))


def test_a_password_that_is_the_targets_name_does_not_lose_the_record(store: Store) -> None:
    result = make_result(target="production", error="production refused")
    store.keep(result, make_notebook(result), Redactor(["production"]))
    (kept,) = store.results(target="production")
    assert kept.run_id == result.run_id
    assert kept.error == f"{MASK} refused"
    store.place.files.rm(f"{store._path(result.run_id)}/result.json")
    assert store.reindex() == [result.run_id]
    assert list(store.results(target="production")) == [kept]
