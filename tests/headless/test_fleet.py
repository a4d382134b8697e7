"""Many targets: each has its own run and record, and what befalls one touches no other."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from opsnb.catalog import RunbookInfo
from opsnb.config.file import load_config
from opsnb.config.target import Target, stand_in
from opsnb.errors import ConfigError, Refused, UsageError
from opsnb.headless import fleet
from opsnb.headless.locks import held
from opsnb.headless.order import Order
from opsnb.model import RunResult, Status
from opsnb.records.extract import rebuild
from opsnb.records.members import Member, members, worst_exit_code
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from opsnb.redaction import MASK
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from tests.cli.test_cli import opsnb
from tests.headless.notebook import write
from tests.records.test_store import as_in_notebook, make_result

PARAMETERS = 'target: str = ""\napply: bool = False\nconfirm: str = ""\nnote: str = ""'
CHECK = """
from IPython.display import publish_display_data
from opsnb.model import FINDING_MIME, Finding, Status

def tell(status, message="As told."):
    finding = Finding(name="test.one", status=status, message=message)
    publish_display_data({FINDING_MIME: finding.model_dump(mode="json"), "text/plain": message})
"""
# Whether a target is sick is told by its address: nobody listens there, or nobody answers.
CONNECT = """
import os, socket
from urllib.parse import urlsplit
from opsnb.config.file import load_target
from opsnb.systems.api.settings import Api

address = urlsplit(Api.of(load_target(target)).url)
if target == "dying":
    os.kill(os.getpid(), 9)
try:
    with socket.create_connection((address.hostname, address.port)) as connection:
        tell(Status.OK, connection.recv(64).decode())
except ConnectionRefusedError:
    tell(Status.CRIT, "It refuses connections.")
"""
OK = 'tell(Status.OK, f"{target} is well.")'
HANG = """
import pathlib, time
if target.startswith("hanging"):
    pathlib.Path(f"{note}/{target}").touch()
    try:
        time.sleep(600)
    finally:
        print("put back")
"""


def runbook(folder: Path, *cells: str) -> RunbookInfo:
    return RunbookInfo("test/one", write(folder / "one.ipynb", PARAMETERS, CHECK, *cells))


def configure(**tables: str) -> None:
    Path("opsnb.toml").write_text(
        "".join(f"[targets.{name}]\n{table}\n" for name, table in tables.items())
    )


def run(
    info: RunbookInfo,
    targets: Sequence[str],
    timeout_s: float | None = None,
    *,
    given: dict[str, Any] | None = None,
    **options: Any,
) -> RunResult:
    values = info.validate({"target": targets[0], **(given or {})})
    order = Order(info, stand_in(targets), values, timeout_s)
    return fleet.run(order, targets, load_config(), **options)


def store() -> Store:
    return Store(load_config().store)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server


def port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_what_befalls_one_target_touches_no_other(tmp_path: Path, listening: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = port(closed)
    url = 'api_url = "http://127.0.0.1:{}"'.format
    configure(
        dead=url(dead),
        dying=url(dead),
        silent=url(port(listening)),
        unset='api_url = "http://${FLEET_TEST_UNSET}"',
        well_a="",
        well_b="",
    )
    names = load_config().names
    check = f'if target.startswith("well"):\n    {OK}\nelse:\n' + "\n".join(
        f"    {line}" for line in CONNECT.splitlines()
    )
    summary = run(runbook(tmp_path, check), names, timeout_s=10, jobs=3)
    found = {member.target: member for member in members(summary)}
    assert {name: member.exit_code for name, member in found.items()} == {
        "dead": 2, "dying": 70, "silent": 124, "unset": 64, "well_a": 0, "well_b": 0,
    }  # fmt: skip
    assert (summary.status, summary.exit_code, summary.error) == (Status.CRIT, 70, None)
    assert summary.target == "dead+dying+silent+unset+well_a+well_b"
    assert "FLEET_TEST_UNSET" in found["unset"].sentence
    assert "Timed out after 10 s" in found["silent"].sentence
    assert found["unset"].run_id is None
    for name in ("dead", "dying", "silent", "well_a", "well_b"):
        (kept,) = store().results(target=name)
        assert kept.run_id == found[name].run_id
        assert (kept.fleet, kept.parameters["target"]) == (summary.run_id, name)
    notebook = store().notebook(summary.run_id)
    nbformat.validate(nbformat.from_dict(notebook))
    assert store().result(summary.run_id) == summary
    assert rebuild(notebook) == as_in_notebook(summary)
    assert [finding.status for finding in summary.findings] == sorted(
        (finding.status for finding in summary.findings), key=lambda status: -status.severity
    )


@pytest.mark.parametrize("count", [200])
def test_many_at_once_leave_as_many_records(tmp_path: Path, count: int) -> None:
    names = [f"web-{number:03}" for number in range(count)]
    configure(**dict.fromkeys(names, ""))
    most: list[int] = []
    summary = run(
        runbook(tmp_path, OK),
        names,
        jobs=8,
        progress=lambda state: most.append(len(state.running)),
    )
    assert summary.exit_code == 0
    assert summary.target == f"web-000+{count - 1} more"
    assert max(most) <= 8
    assert len(most) == count + 1
    kept = {result.target: result for result in store().results()}
    assert sorted(kept.keys() - {summary.target}) == names
    for name in names:
        assert kept[name].fleet == summary.run_id
        assert kept[name].findings[0].message == f"{name} is well."


SCRIPT = """
import sys
from pathlib import Path
from opsnb.catalog import RunbookInfo
from opsnb.headless import fleet
from opsnb.headless.order import Order
from opsnb.machine.interrupts import noted
from opsnb.config.file import load_config
from opsnb.config.target import stand_in

info, names = RunbookInfo("test/one", Path(sys.argv[1])), sys.argv[3:]
values = info.validate({"target": names[0], "note": sys.argv[2]})
with noted() as stopped:
    order = Order(info, stand_in(names), values)
    result = fleet.run(order, names, load_config(), stopped, jobs=2)
sys.exit(result.exit_code)
"""


def start_hanging(folder: Path) -> subprocess.Popen[bytes]:
    """Start runs of which one ends and two hang, so that the last is never begun."""
    names = ["well", "hanging_a", "hanging_b", "last"]
    configure(**dict.fromkeys(names, ""))
    started = folder / "started"
    started.mkdir()
    path = runbook(folder, OK, HANG).path
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, path, started, *names])
    while len(list(started.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_what_runs_and_begins_no_more(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start_hanging(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    (summary,) = (result for result in store().results() if result.is_summary)
    found = {member.target: member for member in members(summary)}
    assert found["well"].exit_code == 0
    assert {found[name].exit_code for name in ("hanging_a", "hanging_b", "last")} == {130}
    assert found["last"].run_id is None
    assert summary.error == f"Interrupted by {number.name}; 1 of 4 targets did not start."
    for name in ("hanging_a", "hanging_b"):
        (kept,) = store().results(target=name)
        assert "put back" in json.dumps(store().notebook(kept.run_id))


def test_a_killed_runner_leaves_a_summary_of_what_had_ended(tmp_path: Path) -> None:
    process = start_hanging(tmp_path)
    process.kill()
    process.wait()
    while len(list(store().run_ids())) < 4:  # the kernels end by themselves
        reap(store())
        time.sleep(0.1)
    (summary,) = (result for result in store().results() if result.is_summary)
    assert (summary.exit_code, summary.error) == (70, "The run was killed before its end.")
    assert [member.target for member in members(summary)] == ["well"]
    assert {result.fleet for result in store().results()} == {summary.run_id}


def test_a_runbook_that_is_deleted_meanwhile_is_told(tmp_path: Path) -> None:
    configure(a="", b="")
    info = runbook(tmp_path, OK, f"import os; os.remove({str(tmp_path / 'one.ipynb')!r})")
    summary = run(info, ["a", "b"], jobs=1)
    first, second = sorted(members(summary), key=lambda member: member.target)
    assert (first.failed, second.failed, second.run_id) == (False, True, None)
    assert "one.ipynb" in second.sentence


def test_every_protected_target_must_be_confirmed_before_anything_is_started(
    tmp_path: Path,
) -> None:
    configure(a="protected = true", b="protected = true", c="")
    info = runbook(tmp_path, "if apply and target != 'c':\n    assert confirm == target", OK)
    applies = {"apply": True}
    with pytest.raises(Refused, match=r"nothing was started.*--confirm b\."):
        run(info, ["a", "b", "c"], confirmed=["a"], given=applies)
    with pytest.raises(UsageError, match=r"--confirm d is not one of the targets"):
        run(info, ["a", "b", "c"], confirmed=["a", "b", "d"], given=applies)
    assert list(store().results()) == []
    assert run(info, ["a", "b", "c"], confirmed=["a", "b"], given=applies).exit_code == 0
    assert run(info, ["a", "b", "c"]).exit_code == 0


def test_a_target_that_another_run_acts_on_is_told(tmp_path: Path) -> None:
    configure(a="", b="")
    with held(store(), "a", make_result(target="a", operator="ann")):
        summary = run(runbook(tmp_path, OK), ["a", "b"], given={"apply": True})
    assert summary.exit_code == 75
    locked, other = members(summary)
    assert (locked.target, locked.status, locked.run_id) == ("a", Status.UNKNOWN, None)
    assert "ann is running health/daily on ops1" in locked.sentence
    assert not other.failed


def test_nothing_is_started_when_no_target_is_usable(tmp_path: Path) -> None:
    configure(a='api_url = "http://${FLEET_TEST_UNSET}"', b="")
    info = runbook(tmp_path, OK)
    with pytest.raises(ConfigError, match="FLEET_TEST_UNSET"):
        run(info, ["a", "gone"])
    assert list(store().results()) == []


def test_no_secret_reaches_the_summary(tmp_path: Path) -> None:
    configure(a='redis_url = "redis://:s3cret-of-a@127.0.0.1:1"')
    summary = run(
        runbook(tmp_path, 'raise ValueError("s3cret-of-a")'),
        ["a"],
        given={"note": "s3cret-of-a"},
    )
    assert summary.parameters["note"] == MASK
    (own,) = members(summary)
    assert own.sentence.endswith(f"ValueError: {MASK}")
    files = list(Path(store().folder(summary.run_id)).iterdir())
    assert len(files) == 2
    assert all("s3cret" not in file.read_text() for file in files)


@pytest.mark.parametrize(
    ("codes", "whole"),
    [([0, 0], 0), ([1, 3, 0], 3), ([3, 2], 2), ([75, 2], 2), ([2, 70, 124], 70), ([130, 70], 130)],
)
def test_the_exit_code_is_the_worst(codes: list[int], whole: int) -> None:
    assert worst_exit_code(Member("a", Status.OK, code, "") for code in codes) == whole


def test_those_that_failed_are_run_again(demo: Target) -> None:
    url = f'api_url = "{Api.of(demo).url}"\nredis_url = "{Cache.of(demo).url}"'
    configure(web_a=url, web_b='api_url = "http://127.0.0.1:9"\nredis_url = "redis://127.0.0.1:9"')
    arguments = ("run", "queues/monitor")
    done = opsnb(*arguments, "-t", "web_*", "--json")
    first = json.loads(done.stdout)
    assert done.returncode == first["exit_code"] == 2, done.stderr
    assert done.stderr == ""
    assert first["target"] == "web_*"
    assert [finding["title"] for finding in first["findings"]] == ["web_b", "web_a"]
    # Any run of the several will do; the parameters are the same unless given.
    member = first["findings"][0]["rows"][0]["run"]
    again = json.loads(opsnb(*arguments, "--failed-of", member, "--json").stdout)
    assert [finding["title"] for finding in again["findings"]] == ["web_b"]
    assert again["parent"] == first["run_id"]
    assert again["parameters"] == first["parameters"]
    # Mended, it is well, and there is nothing left to run.
    configure(web_a=url, web_b=url)
    assert opsnb(*arguments, "--failed-of", again["run_id"]).returncode == 0
    refused = opsnb(*arguments, "--failed-of", "latest")
    assert (refused.returncode, refused.stdout) == (64, "")
    assert "nothing to run again" in refused.stderr
    for wrong in (("-t", "web_a"), ("-p", "quee=x")):
        assert opsnb(*arguments, "--failed-of", first["run_id"], *wrong).returncode == 64
    other = opsnb("run", "health/daily", "--failed-of", first["run_id"])
    assert (other.returncode, "queues/monitor" in other.stderr) == (64, True)


def test_a_single_run_has_none_that_failed(demo: Target) -> None:
    assert opsnb("run", "queues/monitor", "-t", "demo", "-t", "demo").returncode == 0
    (kept,) = store().results()
    assert kept.fleet is None
    refused = opsnb("run", "queues/monitor", "--failed-of", kept.run_id)
    assert refused.returncode == 64
    assert "not on several" in refused.stderr


@pytest.mark.parametrize(
    "wrong", [("-t", "nothing-*"), ("-t", "web_a", "-t", "web_c"), ("-t", "web_*", "--jobs", "0")]
)
def test_what_means_no_target_starts_nothing(wrong: tuple[str, ...]) -> None:
    configure(web_a="", web_b="")
    done = opsnb("run", "health/daily", *wrong)
    assert done.returncode == 64
    assert len(done.stderr.splitlines()) == 1
    assert not Path(os.environ["OPSNB_RECORDS"]).exists()
