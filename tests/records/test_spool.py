"""A record that the store does not take waits in the spool, and comes home once and in order."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb.config.file import load_config
from opsnb.config.places import state_home
from opsnb.errors import RunBroke
from opsnb.model import RunResult
from opsnb.records import recovery, spool
from opsnb.records.extract import rebuild
from opsnb.records.recovery import reap
from opsnb.records.staging import Stage, going_on
from opsnb.records.store import Store
from opsnb.redaction import Redactor
from tests.headless.test_faults import fill
from tests.records.test_seals import verified
from tests.records.test_store import as_in_notebook, make_notebook, make_result

RECOVER = (
    "import sys; from opsnb.records.recovery import reap; from opsnb.records.store import Store; "
    "print(reap(Store(sys.argv[1])))"
)


def blocked(folder: Path) -> Store:
    """Return a store that takes nothing: where its folder should be, there is a file."""
    store = Store(str(folder))
    folder.write_text("")
    return store


def left(store: Store, **fields: Any) -> RunResult:
    """Return the result of a run that has ended and whose record waits."""
    result = make_result(**fields)
    stage = Stage.open(store, result, make_notebook(result), Redactor())
    return spool.keep(store, stage, result, make_notebook(result), Redactor())


def test_a_record_waits_and_says_where_and_why(tmp_path: Path) -> None:
    store = blocked(tmp_path / "store")
    told = left(store)
    assert told.exit_code == 70
    assert "could not be written" in str(told.error)
    assert f"is kept in {state_home() / 'spool' / told.run_id}" in str(told.error)
    assert told.findings == make_result().findings
    assert going_on(store, told.target, told.finished) == []
    (waits,) = recovery.waiting(store)
    assert (waits.run_id, waits.exit_code, waits.error) == (
        told.run_id,
        make_result().exit_code,
        None,
    )
    assert reap(store) == []
    (tmp_path / "store").unlink()
    assert reap(store) == [told.run_id]
    kept = store.result(told.run_id)
    assert (kept.exit_code, kept.error) == (make_result().exit_code, None)
    assert "could not be written when the run ended" in kept.kept_late
    assert rebuild(store.notebook(told.run_id)) == as_in_notebook(kept)
    assert (reap(store), recovery.waiting(store)) == ([], [])


@pytest.mark.parametrize("code", [64, 77, 124, 130])
def test_how_a_run_ended_counts_for_more_than_where_its_record_is(
    tmp_path: Path, code: int
) -> None:
    told = left(blocked(tmp_path / "store"), exit_code=code, error="Ended early.")
    assert told.exit_code == code
    assert str(told.error).startswith("Ended early. The record store")


def test_only_this_user_may_read_what_waits(tmp_path: Path) -> None:
    os.umask(0o022)
    state_home().mkdir(parents=True, mode=0o755)
    left(blocked(tmp_path / "store"))
    for path in (state_home(), *state_home().rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_secret_that_was_printed_in_pieces_is_masked_while_it_waits(tmp_path: Path) -> None:
    result, secret = make_result(), "hunter2-" + "correct-horse"
    pieces = [
        {"output_type": "stream", "name": "stdout", "text": text}
        for text in (secret[:9], secret[9:])
    ]
    notebook = make_notebook(result)
    notebook["cells"].append(
        {"cell_type": "code", "metadata": {}, "source": "", "execution_count": 9, "outputs": pieces}
    )
    store, redactor = blocked(tmp_path / "store"), Redactor([secret])
    stage = Stage.open(store, result, notebook, redactor)
    assert secret[9:] not in (stage.folder / "record.ipynb").read_text()
    told = spool.keep(store, stage, result, notebook, redactor)
    assert secret[9:] not in Path(told.location, "record.ipynb").read_text()


@pytest.mark.parametrize("kind", ["folder", "remote"])
def test_records_come_home_in_the_order_of_their_runs(tmp_path: Path, kind: str) -> None:
    url = str(tmp_path / "store") if kind == "folder" else f"memory://{uuid.uuid4().hex}"
    at, told = make_result().started, []
    for minutes in (2, 0, 1):
        started = at + timedelta(minutes=minutes)
        stamp = f"{started:%Y%m%dT%H%M%SZ}"
        run_id = f"{stamp}-{make_result().run_id.partition('-')[2]}"
        result = make_result(run_id=run_id, started=started)
        store = Store(url)
        stage = Stage.open(store, result, make_notebook(result), Redactor())
        failed = RunBroke("The record store was gone.")
        told.append(spool.leave(stage, result, make_notebook(result), Redactor(), failed).run_id)
    assert reap(Store(url)) == sorted(told)
    assert sorted(result.run_id for result in Store(url).results()) == sorted(told)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("record.ipynb", None),
        ("record.ipynb", "[" * 100_000),
        ("record.ipynb", '{"cells": 1}'),
        ("run.json", ""),
    ],
)
def test_a_damaged_record_keeps_no_other_from_the_store(
    tmp_path: Path, name: str, text: str | None
) -> None:
    store = blocked(tmp_path / "store")
    damaged = left(store, run_id="20261123T071500Z-health.daily-demo-0001")
    whole = left(store, run_id="20261123T071600Z-health.daily-demo-0002")
    place = Path(damaged.location, name)
    place.unlink() if text is None else place.write_text(text)
    (tmp_path / "store").unlink()
    recovered = recovery.recover(store)
    assert recovered.made == [whole.run_id]
    assert "is damaged: " in recovered.waiting[damaged.run_id]
    assert place.parent.exists()


def test_a_record_that_names_a_path_as_its_run_id_touches_nothing(tmp_path: Path) -> None:
    store = blocked(tmp_path / "store")
    odd = left(store)
    (tmp_path / "store").unlink()
    precious = tmp_path / "precious"
    precious.mkdir()
    file = Path(odd.location, "run.json")
    said = json.loads(file.read_text())
    said["result"]["run_id"] = "../../precious"
    file.write_text(json.dumps(said))
    Path(store.address, ".writing").mkdir(parents=True)
    recovered = recovery.recover(store)
    assert (recovered.made, list(recovered.waiting)) == ([], [odd.run_id])
    assert precious.is_dir()


def test_processes_that_recover_at_the_same_time_write_each_record_once(tmp_path: Path) -> None:
    store = blocked(tmp_path / "store")
    told = {
        left(store, run_id=f"20261123T0715{n:02d}Z-health.daily-demo-7f3a").run_id
        for n in range(20)
    }
    (tmp_path / "store").unlink()
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", RECOVER, store.url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    made: list[str] = []
    for process in racing:
        said, _ = process.communicate(timeout=60)
        made += json.loads(said.replace("'", '"'))
    made += reap(store)
    assert len(made) == 20
    assert set(made) == told == {result.run_id for result in store.results()}


def test_a_recovery_that_is_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    store = blocked(tmp_path / "store")
    told = {
        left(store, run_id=f"20261123T0715{n:02d}Z-health.daily-demo-7f3a").run_id
        for n in range(30)
    }
    (tmp_path / "store").unlink()
    kills = 0
    while recovery.waiting(store):
        seen = len(recovery.waiting(store))
        process = subprocess.Popen(
            [sys.executable, "-c", RECOVER, store.url], stdout=subprocess.DEVNULL
        )
        while process.poll() is None and len(recovery.waiting(store)) > seen - 4:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills
    reap(store)
    assert sorted(result.run_id for result in store.results()) == sorted(told)
    assert verified(store) == []
    assert not list((tmp_path / "store" / ".writing").glob("*"))


def test_without_room_anywhere_the_sentence_says_so(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(small_disk))
    store, result = blocked(tmp_path / "store"), make_result()
    stage = Stage.open(store, result, make_notebook(result), Redactor())
    fill(small_disk)
    told = spool.keep(store, stage, result, make_notebook(result), Redactor())
    assert told.exit_code == 70
    assert f"It could not be kept in {small_disk / 'opsnb'} (No space left on device)" in str(
        told.error
    )
    assert Path(told.location, "record.ipynb").is_file()
    assert recovery.notebook(told)
    monkeypatch.setattr(spool, "_elsewhere", lambda: iter([str(small_disk)]))
    told = spool.keep(store, stage, result, make_notebook(result), Redactor())
    assert "This output is all that is left of the run: keep it." in str(told.error)
    assert (told.location, told.findings) == ("", result.findings)
    stage.close()


def test_a_store_that_takes_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named pipe holds whoever opens it until somebody reads, as a file server that is gone."""
    monkeypatch.setattr(spool, "LIMIT_S", 0.5)
    store, result = Store(str(tmp_path / "store")), make_result()
    stage = Stage.open(store, result, make_notebook(result), Redactor())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(store, "keep", lambda *_: pipe.read_text())
    told = spool.keep(store, stage, result, make_notebook(result), Redactor())
    assert "did not respond within 0.5 s" in str(told.error)
    with pipe.open("w"):
        pass


def test_the_command_recovers_and_says_what_waits_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(load_config().store)
    folder.parent.mkdir(parents=True, exist_ok=True)
    told = left(blocked(folder))
    other = left(blocked(tmp_path / "other"), run_id="20261123T071600Z-health.daily-demo-0001")

    def recover() -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "opsnb", "records", "recover"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    folder.unlink()
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o500)
        code, _, errors = recover()
        assert (code, told.run_id in errors) == (70, True)
        folder.chmod(0o700)
    code, said, errors = recover()
    assert (code, said) == (0, f"Recovered: {told.run_id}\n")
    waiting = f"1 record is waiting for another store: set OPSNB_RECORDS to {tmp_path / 'other'}"
    assert waiting in errors
    (tmp_path / "other").unlink()
    monkeypatch.setenv("OPSNB_RECORDS", str(tmp_path / "other"))
    assert recover()[:2] == (0, f"Recovered: {other.run_id}\n")
    assert recover()[:2] == (0, "No records are waiting.\n")
