"""One run that acts at a time for each target; a lock whose holder is gone is free."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.errors import ConfigError, ExitCode, Interrupted, Locked
from opsnb.headless import locks
from opsnb.headless.locks import held
from opsnb.headless.order import Order
from opsnb.headless.result import begin
from opsnb.machine.holder import Holder
from opsnb.model import RunResult, now
from opsnb.records import claims
from opsnb.records.store import Store
from tests.headless import notebook
from tests.headless.test_run import FINDING
from tests.runs import run

NAME = ".locks/shop.json"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store") if request.param == "folder" else f"memory:/{tmp_path}")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_S", 0.2)
    monkeypatch.setattr(locks, "LEASE_S", 1.0)
    monkeypatch.setattr(locks, "_POLL_S", 0.02)


def a_run(tmp_path: Path, runbook: str = "queues/pause") -> RunResult:
    path = notebook.write(tmp_path / "any.ipynb", "apply: bool = False")
    return begin(Order(RunbookInfo(runbook, path), Target(name="shop")), path.read_bytes())


def test_who_comes_second_is_told_who_holds_it(store: Store, tmp_path: Path) -> None:
    first = a_run(tmp_path)
    with held(store, "shop", first):
        with pytest.raises(Locked) as caught, held(store, "shop", a_run(tmp_path)):
            pass
        for told in (first.operator, "queues/pause", first.host, first.run_id, "--wait"):
            assert told in str(caught.value)
        with held(store, "another", a_run(tmp_path)):
            pass
    with held(store, "shop", a_run(tmp_path)):
        pass
    assert store.shared.read(NAME) is None
    assert list(store.run_ids()) == []


@pytest.mark.usefixtures("quick")
def test_waiting_gets_it_as_soon_as_it_is_free(store: Store, tmp_path: Path) -> None:
    first, second = a_run(tmp_path), a_run(tmp_path)
    with held(store, "shop", first):
        got: list[str | None] = []

        def wait() -> None:
            with held(store, "shop", second, wait_s=60):
                got.append(store.shared.read(NAME))

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.2)
        assert got == []
    waiter.join(30)
    assert second.run_id in str(got[0])


def test_waiting_ends_by_a_signal(store: Store, tmp_path: Path) -> None:
    stopped = [signal.SIGTERM]
    with (
        held(store, "shop", a_run(tmp_path)),
        pytest.raises(Interrupted),
        held(store, "shop", a_run(tmp_path), wait_s=60, stopped=stopped),
    ):
        pass


# What processes of tests have in common: of these tests it imports nothing, as that takes long.
_BEGIN = """
import os, sys, time
from pathlib import Path
from opsnb.catalog import RunbookInfo
from opsnb.headless.locks import held
from opsnb.headless.order import Order
from opsnb.headless.result import begin
from opsnb.records.store import Store
from opsnb.config.target import Target

store, path, *kernels = Store(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]

def a_run():
    return begin(Order(RunbookInfo("queues/pause", path), Target(name="shop")), path.read_bytes())
"""
_HOLDER = f"""{_BEGIN}
with held(store, "shop", a_run()) as lock:
    for kernel in kernels:
        lock.add_holder(int(kernel))
    print("held", flush=True)
    time.sleep(600)
"""


def script(text: str, store: Path, *kernels: int) -> list[str]:
    """Return the command that executes `text` on a store."""
    path = notebook.write(store.parent / "any.ipynb", "apply: bool = False")
    return [sys.executable, "-c", text, str(store), str(path), *map(str, kernels)]


def hold(store: Path, *kernels: int) -> subprocess.Popen[str]:
    words = script(_HOLDER, store, *kernels)
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    return holder


def kill(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.communicate()


def test_a_killed_holder_leaves_it_free_unless_its_kernel_lives(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    kernel = subprocess.Popen(["sleep", "600"])
    try:
        kill(hold(tmp_path / "store", kernel.pid))
        with pytest.raises(Locked), held(store, "shop", a_run(tmp_path)):
            pass
    finally:
        kill(kernel)
    with held(store, "shop", a_run(tmp_path)):
        pass


_CONTENDERS = f"""{_BEGIN}
def contend(run):
    inside = path.with_name("inside")
    with held(store, "shop", run, wait_s=120):
        handle = os.open(inside, os.O_CREAT | os.O_EXCL)  # fails when somebody else is inside
        time.sleep(0.02)
        os.close(handle)
        inside.unlink()

contenders = []
for run in [a_run() for _ in range(12)]:
    contenders.append(os.fork())  # to import would take each far longer than what it does
    if not contenders[-1]:
        try:
            contend(run)
            print("had it", flush=True)
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(0)
for contender in contenders:
    os.waitpid(contender, 0)
"""


def test_of_many_who_find_a_dead_holder_one_at_a_time_gets_it(tmp_path: Path) -> None:
    kill(hold(tmp_path / "store"))
    words = script(_CONTENDERS, tmp_path / "store")
    told = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=180, check=True)
    assert told.stdout.splitlines() == ["had it"] * 12


def elsewhere(store: Store, tmp_path: Path, age_s: float) -> dict[str, Any]:
    """Leave the lock of a run on another machine, renewed `age_s` seconds ago by its clock."""
    with held(store, "shop", a_run(tmp_path)):
        content: dict[str, Any] = json.loads(str(store.shared.read(NAME)))
    content["holders"] = [{"host": "elsewhere", "pid": 1, "began": "boot/1"}]
    content["renewed"] = (now() - timedelta(seconds=age_s)).isoformat()
    store.shared.create(NAME, json.dumps(content))
    return content


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("age_s", [3600, -3600], ids=["old", "from the future"])
def test_a_lock_of_another_machine_is_free_when_nobody_renews_it(
    store: Store, tmp_path: Path, age_s: float
) -> None:
    elsewhere(store, tmp_path, age_s)
    with held(store, "shop", a_run(tmp_path)):
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("age_s", [0, 3600, -3600], ids=["fresh", "old", "from the future"])
def test_a_lock_that_is_renewed_is_held_whatever_its_clock_says(
    store: Store, tmp_path: Path, age_s: float
) -> None:
    content = elsewhere(store, tmp_path, age_s)
    done = threading.Event()

    def renew() -> None:
        while not done.wait(0.1):
            content["renewals"] += 1
            store.shared.replace(NAME, json.dumps(content))

    renewer = threading.Thread(target=renew)
    renewer.start()
    try:
        with pytest.raises(Locked), held(store, "shop", a_run(tmp_path)):
            pass
    finally:
        done.set()
        renewer.join()


@pytest.mark.usefixtures("quick")
def test_a_file_that_is_no_lock_is_told_or_taken_over(store: Store, tmp_path: Path) -> None:
    store.shared.create(NAME, "{")
    with held(store, "shop", a_run(tmp_path)):
        pass


@pytest.mark.usefixtures("quick")
def test_a_holder_notices_that_it_lost_the_lock_and_leaves_the_new_one(
    store: Store, tmp_path: Path
) -> None:
    with held(store, "shop", a_run(tmp_path)) as lock:
        store.shared.replace(NAME, "another's")
        wait_for(lambda: lock.lost)
    assert store.shared.read(NAME) == "another's"


@pytest.mark.usefixtures("quick")
def test_a_store_that_stays_away_loses_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LEASE_S", 0.5)
    store = Store(str(tmp_path / "store"))
    with held(store, "shop", a_run(tmp_path)) as lock:
        (tmp_path / "store").rename(tmp_path / "away")
        (tmp_path / "store").write_text("a file where the store should be")
        wait_for(lambda: lock.lost)


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_run_that_acts_is_refused_and_one_that_reads_is_not(tmp_path: Path) -> None:
    path = notebook.write(tmp_path / "one.ipynb", "apply = False", FINDING.format(status="ok"))
    order = Order(RunbookInfo("test/one", path), Target(name="shop"))
    acting = Order(RunbookInfo("test/one", path), Target(name="shop"), {"apply": True})
    store = Store(load_config().store)
    with held(store, "shop", a_run(tmp_path)):
        assert run(order).exit_code == 0
        with pytest.raises(Locked):
            run(acting)
    assert run(acting).exit_code == 0
    assert len(list(store.run_ids())) == 2


@pytest.mark.parametrize(
    ("blocked", "words"),
    [
        (".locks", r"File exists\. Remove the file that is in place of a folder"),
        (f"{NAME}.guard/folder", r"Is a directory\. Remove the folder that is in place of a file"),
    ],
)
def test_a_lock_that_cannot_be_written_is_refused_before_anything_is_started(
    tmp_path: Path, blocked: str, words: str
) -> None:
    store = Path(load_config().store)
    (store / blocked).parent.mkdir(parents=True)
    (store / blocked).touch()
    path = notebook.write(tmp_path / "one.ipynb", "apply = False", FINDING.format(status="ok"))
    acting = Order(RunbookInfo("test/one", path), Target(name="shop"), {"apply": True})
    with pytest.raises(ConfigError, match=rf"^Target shop cannot be locked.*{words}") as caught:
        run(acting)
    assert caught.value.exit_code == ExitCode.UNUSABLE
    assert list(Store(str(store)).run_ids()) == []


def test_a_run_that_loses_its_lock_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "RENEW_S", 0.2)
    lock = Path(load_config().store, NAME)
    # Again and again: a renewal that has just read the lock writes over it once.
    cell = f"import time\nwhile True: open({str(lock)!r}, 'w').write('another'); time.sleep(0.05)"
    path = notebook.write(tmp_path / "one.ipynb", "apply = False", cell)
    order = Order(RunbookInfo("test/one", path), Target(name="shop"), {"apply": True})
    result = run(order)
    assert (result.exit_code, result.error) == (
        70,
        "The run was stopped because it lost the lock of its target.",
    )


def a_lock(holder: dict[str, Any], renewed_s_ago: float = 0) -> str:
    """Return what the lock of a run holds whose process is `holder`."""
    content = {
        "run_id": "20260101T000000Z-queues.pause-shop-0001",
        "runbook": "queues/pause",
        "operator": "on-call",
        "host": holder["host"],
        "since": now().isoformat(),
        "holders": [holder],
        "renewed": (now() - timedelta(seconds=renewed_s_ago)).isoformat(),
    }
    return json.dumps(content)


def myself() -> dict[str, Any]:
    return Holder.of(os.getpid()).model_dump()


GONE: dict[str, dict[str, Any]] = {
    "another process with this pid": {"began": "another boot/1"},
    "a pid that nobody has": {"pid": 2**22 + 1},
}
ELSEWHERE = {
    "another container": {"namespace": "this boot/pid:[1]"},
    "an earlier boot": {"namespace": "an earlier boot/pid:[1]", "began": "an earlier boot/1"},
    "unknown": {"namespace": ""},
}


@pytest.mark.parametrize("of", GONE)
def test_a_process_of_this_namespace_that_is_gone_holds_nothing(
    store: Store, tmp_path: Path, of: str
) -> None:
    store.shared.create(NAME, a_lock(myself() | GONE[of]))
    with held(store, "shop", a_run(tmp_path)):
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("of", ELSEWHERE)
def test_a_process_of_another_namespace_holds_it_until_it_is_not_renewed(
    store: Store, tmp_path: Path, of: str
) -> None:
    store.shared.create(NAME, a_lock(myself() | ELSEWHERE[of]))
    with pytest.raises(Locked), held(store, "shop", a_run(tmp_path)):
        pass
    with held(store, "shop", a_run(tmp_path), wait_s=60):
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("left", ["", "{", "[" * 3000, "null", "\0\0"])
def test_a_broken_lock_file_is_watched_then_taken(store: Store, tmp_path: Path, left: str) -> None:
    store.shared.create(NAME, left)
    with held(store, "shop", a_run(tmp_path)):
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("changes", [{"renewed": "2026-11-23T07:15:00"}, {"holders": []}])
def test_a_lock_whose_fields_are_odd_is_watched_then_taken(
    store: Store, tmp_path: Path, changes: dict[str, object]
) -> None:
    store.shared.create(NAME, json.dumps(json.loads(a_lock(myself())) | changes))
    with held(store, "shop", a_run(tmp_path), wait_s=60):
        pass


@pytest.mark.usefixtures("quick")
def test_a_pid_that_no_process_can_have_is_watched_then_taken(store: Store, tmp_path: Path) -> None:
    store.shared.create(NAME, a_lock(myself() | {"pid": 10**30}))
    with held(store, "shop", a_run(tmp_path), wait_s=60):
        pass


def test_a_refusal_says_how_long_it_may_take_and_how_to_end_it(
    store: Store, tmp_path: Path
) -> None:
    first, second = a_run(tmp_path), a_run(tmp_path)
    with (
        held(store, "shop", first, limit_s=1800),
        pytest.raises(Locked) as caught,
        held(store, "shop", second),
    ):
        pass
    assert "for at most 30 min" in str(caught.value)
    assert f"kill -INT {os.getpid()}" in str(caught.value)


def test_what_a_killed_process_left_of_a_change_delays_it_only_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "ABANDONED_AFTER_S", 0.5)
    store = Store(f"memory:/{tmp_path}")
    store.shared.replace(f"{NAME}.guard/0000", "")
    with held(store, "shop", a_run(tmp_path)):
        pass
    assert store.shared.read(f"{NAME}.guard/0000") is None


def test_without_hard_links_a_file_is_made_exclusively_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", link)
    store = Store(str(tmp_path / "store"))
    assert store.shared.create(NAME, "mine")
    assert not store.shared.create(NAME, "another's")
    assert store.shared.read(NAME) == "mine"


def test_of_many_threads_one_makes_a_file_on_a_store_without_exclusive_creation(
    tmp_path: Path,
) -> None:
    store = Store(f"memory:/{tmp_path}")
    start = threading.Barrier(8)
    made: list[bool] = []

    def make(number: int) -> None:
        start.wait()
        made.append(store.shared.create(NAME, str(number)))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
