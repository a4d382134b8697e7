"""The second `opsnb run` by hand goes through the resident, and is the same run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from opsnb.cli.resident import client
from tests.cli.resident.place import OPSNB, RUNBOOK, Place, Run, new_place, until, words_of
from tests.processes import lives

KILLED = "The process of the run was killed (SIGKILL)."


@pytest.fixture(scope="module")
def shared() -> Iterator[Place]:
    """A place with a resident, which the first run has started."""
    with new_place() as place:
        assert place.run().code == 1
        place.resident()
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    """The place, with a resident that listens."""
    if not shared.listens:
        shared.run()
    shared.resident()
    return shared


@pytest.fixture
def fresh() -> Iterator[Place]:
    """A place without a resident."""
    with new_place() as place:
        yield place


def kernels_of(resident: psutil.Process) -> int:
    """The pid of the process from which the kernels of `resident` are forked."""
    (pid,) = (each.pid for each in resident.children() if "preloaded" in " ".join(words_of(each)))
    return pid


def went_through(run: Run, resident: psutil.Process) -> bool:
    return bool(run.printed["parent"] == kernels_of(resident))


def test_the_second_run_is_forked_from_the_resident_and_leaves_the_same_record(
    place: Place,
) -> None:
    warm = place.run()
    cold = place.run("run", RUNBOOK, "--json", "--cold")
    assert went_through(warm, place.resident())
    assert not went_through(cold, place.resident())
    assert (warm.code, cold.code) == (1, 1)
    assert warm.errors == cold.errors == ""
    own = {"run_id", "started", "finished", "seconds", "findings", "seal"}
    assert {**warm.result, **dict.fromkeys(own)} == {**cold.result, **dict.fromkeys(own)}
    for key in ("name", "status", "message", "value"):
        assert [each[key] for each in warm.result["findings"]] == [
            each[key] for each in cold.result["findings"]
        ]
    sources = [[cell["source"] for cell in run.notebook["cells"]] for run in (warm, cold)]
    assert sources[0][1:] == sources[1][1:]  # the first is the headline with its times


def test_a_run_has_the_environment_and_the_folder_of_its_caller(place: Place) -> None:
    (elsewhere := place.folder / "elsewhere").mkdir(exist_ok=True)
    first = place.run(MARK="first", API_TOKEN="first-secret-word")
    second = place.run(cwd=elsewhere, MARK="second", DB_PASSWORD="second-secret", TZ="XYZ-3")
    resident = place.resident()
    assert went_through(first, resident)
    assert went_through(second, resident)
    assert (first.printed["mark"], second.printed["mark"]) == ("first", "second")
    assert "API_TOKEN" in first.printed["names"]
    assert "API_TOKEN" not in second.printed["names"]
    assert "DB_PASSWORD" in second.printed["names"]
    assert Path(second.printed["folder"]) == elsewhere.resolve()
    assert second.printed["zone"] == "+0300"
    for pid in (resident.pid, kernels_of(resident)):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        memory_of = {name.split(b"=")[0] for name in environment.split(b"\0")}
        assert not memory_of & {b"API_TOKEN", b"DB_PASSWORD", b"MARK", b"OPSNB_RECORDS"}


def test_a_secret_of_one_run_is_masked_in_it_and_unknown_to_the_next(place: Place) -> None:
    first = place.run(API_TOKEN="word-of-the-first", MARK="word-of-the-first")
    second = place.run(MARK="word-of-the-first")
    assert first.printed["mark"] != "word-of-the-first"
    assert second.printed["mark"] == "word-of-the-first"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_client_ends_the_run_as_it_does_without_resident(
    place: Place, number: signal.Signals
) -> None:
    ended = []
    for setting in ("on", "off"):
        client = place.waiting(setting)
        client.send_signal(number)
        run = Run(place, client)
        ended.append((run.code, run.result["status"], run.result["error"], run.errors))
    assert ended[0] == ended[1]
    assert ended[0][0] == 130


def test_a_client_that_is_suspended_suspends_the_run_and_continues_it(place: Place) -> None:
    client = place.waiting()
    (run,) = runs_of(place.resident())
    client.send_signal(signal.SIGTSTP)
    until(lambda: run.status() == psutil.STATUS_STOPPED)
    until(lambda: psutil.Process(client.pid).status() == psutil.STATUS_STOPPED)
    client.send_signal(signal.SIGCONT)
    until(lambda: run.status() != psutil.STATUS_STOPPED)
    place.release()
    assert Run(place, client).code == 1


def runs_of(resident: psutil.Process) -> list[psutil.Process]:
    """The processes of runs that go on."""
    kernels = kernels_of(resident)
    return [each for each in resident.children() if each.pid != kernels]


def test_a_client_that_is_killed_ends_the_run_as_a_closed_terminal_does(place: Place) -> None:
    client = place.waiting()
    (run,) = runs_of(place.resident())
    client.kill()
    client.communicate()
    until(lambda: not run.is_running())
    result = place.results()[-1]
    assert result["exit_code"] == 130
    assert "SIGHUP" in result["error"]


def test_a_killed_client_ends_a_run_that_ignores_the_end_of_its_terminal(place: Place) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        client = place.waiting()
    finally:
        signal.signal(signal.SIGHUP, before)
    (run,) = runs_of(place.resident())
    client.send_signal(signal.SIGHUP)
    client.kill()
    client.communicate()
    until(lambda: not run.is_running())
    assert "SIGTERM" in place.results()[-1]["error"]


def test_a_run_that_is_killed_is_reported_and_recorded(place: Place) -> None:
    client = place.waiting()
    (run,) = runs_of(place.resident())
    run.kill()
    ended = Run(place, client)
    assert (ended.code, ended.out) == (70, "")
    assert ended.errors == f"opsnb: {KILLED} For its record: opsnb records list\n"
    result = place.results()[-1]
    assert (result["exit_code"], len(result["findings"])) == (70, 1)
    assert "killed" in result["error"]
    assert went_through(place.run(), place.resident())


def test_a_resident_that_is_killed_disturbs_no_run_and_is_replaced(place: Place) -> None:
    client = place.waiting()
    resident = place.resident()
    kernels = psutil.Process(kernels_of(resident))
    resident.kill()
    until(lambda: not resident.is_running())
    place.release()
    ended = Run(place, client)
    assert (ended.code, ended.errors) == (1, "")
    until(lambda: not kernels.is_running())
    assert place.run().code == 1  # in its own process
    until(lambda: [each.pid for each in place.residents] not in ([], [resident.pid]))
    until(lambda: connects(place))
    assert went_through(place.run(), place.resident())


def connects(place: Place) -> bool:
    """Whether a process listens at the socket, which a killed one leaves behind."""
    (path,) = place.sockets.glob("*.sock")
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def test_a_resident_whose_kernels_are_killed_ends(place: Place) -> None:
    resident = place.resident()
    os.kill(kernels_of(resident), signal.SIGKILL)
    until(lambda: not resident.is_running())
    assert not place.listens


@pytest.mark.parametrize(
    "words",
    [
        ("run", "own/nothing"),
        ("run", RUNBOOK, "-p", "unknown=1"),
        ("run", RUNBOOK, "-t", "nowhere"),
        ("run", RUNBOOK, "--no-such-option"),
        ("run",),
    ],
)
def test_a_refusal_is_the_same(place: Place, words: tuple[str, ...]) -> None:
    place.resident()
    warm, cold = place.run(*words), place.run(*words, OPSNB_RESIDENT="off")
    assert (warm.code, warm.out, warm.errors) == (cold.code, cold.out, cold.errors)
    assert warm.code == 64


def test_the_output_goes_into_the_caller_s_pipe(place: Place) -> None:
    told = subprocess.run(
        ["/bin/sh", "-c", f'"$0" run {RUNBOOK} | head -n 1', OPSNB],
        env=place.environment, cwd=place.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.count("\n") == 1
    assert told.stderr == ""


def test_two_runs_at_once_do_not_disturb_each_other(place: Place) -> None:
    first = place.waiting()
    second = place.run(MARK="second")
    assert went_through(second, place.resident())
    assert second.printed["mark"] == "second"
    place.release()
    ended = Run(place, first)
    assert (ended.code, ended.printed["mark"]) == (1, None)


def test_changed_code_is_run_as_it_is_now(place: Place) -> None:
    place.measures("second")
    warm = place.run()
    assert [each["message"] for each in warm.result["findings"]] == ["second"]
    resident = place.resident()
    assert went_through(warm, resident)
    config = place.folder / "opsnb.toml"
    config.write_text(config.read_text() + "# changed\n")
    assert place.run().code == 1
    assert not lives(resident.pid)


def test_a_changed_module_of_the_resident_ends_it(fresh: Place) -> None:
    module = fresh.folder / "site/sitecustomize.py"
    module.write_text("")
    fresh.run()
    resident = fresh.resident()
    module.write_text("import os\nos.environ['MARK'] = 'changed'\n")
    changed = fresh.run()
    assert changed.printed["mark"] == "changed"
    until(lambda: not resident.is_running())
    assert fresh.resident() != resident


def started(place: Place, idle_s: float = 600) -> subprocess.Popen[bytes]:
    """Start a resident of `place` as the client does."""
    environment = {**place.environment, "OPSNB_CONFIG": str(place.folder / "opsnb.toml")}
    process = client.start(place.sockets / "own.sock", environment, idle_s)
    assert process
    return process


def test_an_idle_resident_ends_and_leaves_nothing(fresh: Place) -> None:
    fresh.sockets.mkdir(mode=0o700)
    (fresh.sockets / "killed.lock").touch()
    (fresh.sockets / "killed.sock").touch()
    process = started(fresh, idle_s=2)
    until((fresh.sockets / "own.sock").exists)
    assert process.wait(120) == 0
    assert not [*fresh.sockets.iterdir()]
    assert not fresh.residents


def test_of_several_residents_that_start_at_once_one_stays(fresh: Place) -> None:
    fresh.sockets.mkdir(mode=0o700)
    processes = [started(fresh) for _ in range(3)]
    resident = fresh.resident()
    (stays,) = (each for each in processes if each.pid == resident.pid)
    for other in processes:
        if other is not stays:
            assert other.wait(120) == 0
    stays.terminate()
    stays.wait(60)


def test_a_resident_whose_socket_is_replaced_ends(fresh: Place) -> None:
    fresh.sockets.mkdir(mode=0o700)
    process = started(fresh, idle_s=20)
    fresh.resident()
    (fresh.sockets / "own.sock").unlink()
    (fresh.sockets / "own.sock").touch()
    assert process.wait(120) == 0
    assert (fresh.sockets / "own.sock").is_file()


def test_many_runs_leave_no_process_no_file_and_no_descriptor(place: Place) -> None:
    place.run()
    resident = place.resident()
    until(lambda: left(place, resident)[2] == 1 and not runs_of(resident))
    before = left(place, resident)
    for _ in range(20):
        assert place.run().code == 1
    until(lambda: not runs_of(resident))
    until(lambda: left(place, resident) == before)  # a kernel ends a moment after its run
    assert place.resident() == resident


def left(place: Place, resident: psutil.Process) -> tuple[int, int, int, list[str]]:
    kernels = psutil.Process(kernels_of(resident))
    files = sorted(path.name for path in (place.folder / "tmp").iterdir())
    return resident.num_fds(), kernels.num_fds(), len(resident.children(recursive=True)), files


def ran_alone(place: Place) -> bool:
    """Whether a run goes on in its own process, and starts no resident."""
    run = place.run()
    assert (run.code, run.errors) == (1, "")
    return not place.residents


def test_a_folder_that_others_may_enter_is_not_used(fresh: Place) -> None:
    fresh.sockets.mkdir(mode=0o700)
    fresh.sockets.chmod(0o777)
    assert ran_alone(fresh)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_not_used(fresh: Place) -> None:
    fresh.sockets.mkdir(mode=0o700)
    os.chown(fresh.sockets, 12345, 12345)
    assert ran_alone(fresh)


def test_a_link_is_not_used(fresh: Place) -> None:
    (fresh.folder / "elsewhere").mkdir(mode=0o700)
    fresh.sockets.symlink_to(fresh.folder / "elsewhere")
    assert ran_alone(fresh)


def test_a_foreign_file_in_place_of_the_socket_is_passed_over_and_replaced(place: Place) -> None:
    place.resident()
    (path,) = place.sockets.glob("*.sock")
    place.end()
    path.write_text("foreign")
    run = place.run()
    assert (run.code, run.errors) == (1, "")
    until(path.is_socket)
    assert went_through(place.run(), place.resident())


def test_without_a_runtime_folder_the_temporary_one_is_used(fresh: Place) -> None:
    fresh.runtime, fresh.sockets = "", fresh.folder / f"tmp/opsnb-{os.getuid()}"
    assert fresh.run().code == 1
    resident = fresh.resident()
    assert fresh.sockets.stat().st_mode & 0o777 == 0o700
    assert went_through(fresh.run(), resident)


def test_a_process_that_does_not_respond_is_passed_over(fresh: Place) -> None:
    fresh.run()
    resident = fresh.resident()
    resident.suspend()
    try:
        run = fresh.run()
        assert (run.code, run.errors) == (1, "")
    finally:
        resident.resume()
    assert not went_through(run, resident)


@pytest.mark.parametrize("changed", [{"CI": "true"}, {"OPSNB_RESIDENT": "off"}, {}])
def test_a_run_that_is_not_by_hand_neither_starts_nor_uses_one(
    place: Place, changed: dict[str, str]
) -> None:
    """Without a terminal, as under cron."""
    environment = {**place.environment, "OPSNB_RESIDENT": "", **changed}
    before = {each.pid for each in place.residents}
    ended = subprocess.run(
        [OPSNB, "run", RUNBOOK, "--json"],
        env=environment, cwd=place.folder, capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert ended.returncode == 1
    notebook = place.record(json.loads(ended.stdout)["run_id"])
    assert f'"parent": {kernels_of(place.resident())},' not in json.dumps(notebook).replace(
        "\\", ""
    )
    assert {each.pid for each in place.residents} == before
