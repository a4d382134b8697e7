"""Schedules as cron runs them: the line of the crontab, /bin/sh, next to no environment.

A server on loopback is the service, the webhook and the dead man's switch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.headless.locks import held
from opsnb.headless.order import Order
from opsnb.headless.result import begin
from opsnb.records.store import Store
from opsnb.schedule import crontab
from opsnb.schedule.log import log_file
from tests.receiver import Receiver, receiver

OPSNB = str(Path(sys.executable).with_name("opsnb"))
UUID = "6c6c1fa8-1111-4b1d-9d9d-3f6e1a2b4c5d"


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def service() -> Iterator[Receiver]:
    """A service whose API can be made to fail."""
    with receiver() as found:
        yield found


@pytest.fixture(autouse=True)
def _plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")


def configure(hook: Receiver, *services: Receiver, schedule: str = "", channel: str = "") -> None:
    """Write an opsnb.toml with a target for each of `services`, and one schedule for all."""
    checked = '["all"]' if len(services) > 1 else '["shop-1"]'
    targets = "".join(
        f'[targets.shop-{number}.api]\nurl = "{each.url}"\nqueue_stats = ""\n'
        for number, each in enumerate(services, 1)
    )
    Path("opsnb.toml").write_text(
        f'{targets}\n[records]\nsite = "https://ops.example"\n'
        '[[schedules]]\nname = "daily"\nrunbook = "health/daily"\n'
        f'cron = "15 7 * * *"\ntargets = {checked}\nping = "{hook.url}/ping/{UUID}?x=1"\n{schedule}'
        f'[[notify]]\nname = "hook"\nurl = "json://127.0.0.1:{hook.port}/hook"\n'
        f'status = ["crit"]\n{channel}'
    )


def as_cron(name: str = "daily") -> subprocess.CompletedProcess[str]:
    """Run the line of a schedule as cron does."""
    block = crontab.block(load_config(), None).splitlines()
    line = next(line for line in block if line.endswith(f"schedule run {name}"))
    command = line.split(maxsplit=5)[5].replace(r"\%", "%")
    bare = {"HOME": str(Path().resolve()), "LOGNAME": "ops", "SHELL": "/bin/sh"}
    bare["PATH"] = "/usr/bin:/bin"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env=bare,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_from_well_to_crit_and_back(hook: Receiver, service: Receiver) -> None:
    configure(hook, service, schedule='mail = ["crit"]\n')
    well = as_cron()
    assert well.returncode in (0, 1, 3)  # this machine may lack a process manager
    assert (well.stdout, well.stderr) == ("", "")
    assert hook.messages() == []
    service.status = 500
    for _ in range(2):
        ill = as_cron()
        assert ill.returncode == 2
        head, following, place = ill.stderr.splitlines()
        assert head.startswith("CRIT health/daily on shop-1: ")
        assert following.startswith("Next: opsnb ")
        record = Path(place.removeprefix("Record: "))
        assert json.loads((record.parent / "result.json").read_text())["status"] == "crit"
    service.status = 200
    as_cron()
    problem, recovery = hook.messages()
    assert problem["title"].startswith("CRIT API health on shop-1")
    assert "\nNext: opsnb " in problem["message"]
    assert "\nRecord: /" in problem["message"]
    assert "\nPage: https://ops.example/records/2" in problem["message"]
    assert recovery["title"].startswith("Recovered: API health on shop-1")
    assert (problem["type"], recovery["type"]) == ("failure", "success")
    pings = [path for path in hook.paths if path != "/hook"]
    ends = [path.removeprefix(f"/ping/{UUID}") for path in pings]
    assert ends[2:6] == ["/start?x=1", "/fail?x=1"] * 2
    log = log_file().read_text().splitlines()
    assert [line.split()[1] for line in log] == ["daily"] * 4
    assert log_file().stat().st_mode & 0o777 == 0o600


def test_one_message_for_a_cause_on_several_targets(hook: Receiver, service: Receiver) -> None:
    service.status = 500
    configure(hook, service, service, service)
    ended = as_cron()
    assert ended.returncode == 2
    assert "CRIT shop-2: " in ended.stderr
    assert ended.stderr.count("Record: ") == 1
    (message,) = hook.messages()
    assert message["title"].startswith("CRIT API health on 3 targets")
    assert "Targets: shop-1, shop-2, shop-3" in message["message"]


def test_channels_that_fail_and_hang_change_nothing(hook: Receiver, service: Receiver) -> None:
    hang = f'[[notify]]\nname = "slow"\nurl = "json://127.0.0.1:{hook.port}/slow"\ntimeout = 2\n'
    broken = '[[notify]]\nname = "broken"\ncommand = ["false"]\n'
    service.status, hook.hangs = 500, True
    configure(hook, service, channel=f"timeout = 2\n{hang}{broken}")
    ended = as_cron()
    assert ended.returncode == 2
    assert "Notification to slow failed: no response within 2 s" in ended.stderr
    assert "Notification to broken failed: exit code 1" in ended.stderr
    assert "Ping start failed: timed out\nPing fail failed: timed out\n" in ended.stderr
    assert UUID not in ended.stderr
    hook.hangs = False
    hook.released.set()
    hook.requests.clear()
    patient = Path("opsnb.toml").read_text().replace("timeout = 2\n", "timeout = 60\n")
    Path("opsnb.toml").write_text(patient)
    again = as_cron()
    # What waited arrives with the next run, and nothing of it is told to cron once more.
    assert [each["type"] for each in hook.messages("/slow")] == ["failure"]
    assert "Notification to" not in again.stderr


def test_a_run_that_finds_its_target_locked_is_no_failure(
    hook: Receiver, service: Receiver
) -> None:
    given = 'apply = true\nparameters = { queue = "emails" }\n'
    configure(hook, service, schedule=given, channel='status = ["crit", "unknown"]\n')
    text = Path("opsnb.toml").read_text().replace("health/daily", "queues/pause")
    Path("opsnb.toml").write_text(text.replace('status = ["crit"]\n', ""))
    config, info = load_config(), catalog.runbook("queues/pause")
    other = begin(Order(info, config.target("shop-1")), info.path.read_bytes())
    with held(Store(config.store), "shop-1", other):
        ended = as_cron()
    assert ended.returncode == 75
    assert "Target shop-1 is locked" in ended.stderr
    assert hook.paths == [f"/ping/{UUID}/start?x=1", f"/ping/{UUID}/log?x=1"]


def test_what_cannot_begin_is_pinged_and_told(hook: Receiver, service: Receiver) -> None:
    configure(hook, service, channel='[[notify]]\nname = "tell"\ncommand = ["tee", "told.json"]\n')
    text = Path("opsnb.toml").read_text().replace("health/daily", "health/dayly")
    Path("opsnb.toml").write_text(text)
    ended = subprocess.run(
        [OPSNB, "schedule", "run", "daily"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 64
    assert "Did you mean 'health/daily'?" in ended.stderr
    assert hook.paths == [f"/ping/{UUID}/start?x=1", f"/ping/{UUID}/fail?x=1"]
    assert "daily exit=64 Schedule daily: " in log_file().read_text()
    told = json.loads(Path("told.json").read_text())
    assert (told["event"], told["status"]) == ("problem", "unknown")
    assert told["title"] == "UNKNOWN Run on shop-1"


def test_what_fails_beside_a_run_that_cannot_begin_is_mailed_too(
    hook: Receiver, service: Receiver
) -> None:
    configure(hook, service, channel='[[notify]]\nname = "broken"\ncommand = ["false"]\n')
    text = Path("opsnb.toml").read_text().replace("health/daily", "health/dayly")
    Path("opsnb.toml").write_text(text)
    hook.status = 500
    ended = subprocess.run(
        [OPSNB, "schedule", "run", "daily"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 64
    assert "Ping start failed: the receiver responded with 500" in ended.stderr
    assert "Ping fail failed: the receiver responded with 500" in ended.stderr
    assert "Notification to broken failed: exit code 1" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("opsnb: Schedule daily: ")
    assert UUID not in ended.stderr


def test_a_state_folder_that_cannot_be_written_is_told(hook: Receiver, service: Receiver) -> None:
    configure(hook, service, channel='[[notify]]\nname = "tell"\ncommand = ["tee", "told.json"]\n')
    Path("no-folder").write_text("")
    ended = subprocess.run(
        [OPSNB, "schedule", "run", "daily"],
        env=os.environ | {"XDG_STATE_HOME": str(Path("no-folder").absolute())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 64
    assert "cannot be created: Not a directory" in ended.stderr.splitlines()[-1]
    assert "The log of schedules cannot be written: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert json.loads(Path("told.json").read_text())["title"] == "UNKNOWN Run on shop-1"


def test_a_log_that_cannot_be_written_changes_nothing_else(
    hook: Receiver, service: Receiver
) -> None:
    service.status = 500
    configure(hook, service)
    log_file().mkdir()
    ended = as_cron()
    assert ended.returncode == 2
    assert ended.stderr.startswith("CRIT health/daily on shop-1: ")
    assert "The log of schedules cannot be written: Is a directory.\n" in ended.stderr
    assert f"/ping/{UUID}/fail?x=1" in hook.paths
    assert [each["type"] for each in hook.messages()] == ["failure"]


def test_a_run_that_timed_out_is_shown_as_that(hook: Receiver, service: Receiver) -> None:
    configure(hook, service, schedule="timeout = 0.2\n")
    assert as_cron().returncode == 124
    for command in ("status", "list"):
        shown = subprocess.run(
            [OPSNB, "schedule", command],
            env=os.environ | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        words = " ".join(shown.split())
        assert "timed out" in words
        assert command == "status" or ("targets" in words and "shop-1" in words), shown


def test_a_target_that_was_renamed_closes_its_alarms(hook: Receiver, service: Receiver) -> None:
    service.status = 500
    configure(hook, service)
    as_cron()
    service.status = 200
    text = Path("opsnb.toml").read_text().replace("shop-1", "store")
    Path("opsnb.toml").write_text(text)
    as_cron()
    problem, closed = hook.messages()
    assert problem["title"].startswith("CRIT API health on shop-1")
    assert closed["title"].startswith("Closed: API health on shop-1")
    assert "The target is no longer in opsnb.toml." in closed["message"]
    assert closed["type"] == "info"


def test_a_filter_of_runbooks_that_fits_none_is_refused(hook: Receiver, service: Receiver) -> None:
    configure(hook, service, channel='runbooks = ["helth/*"]\n')
    for command in (["schedule", "run", "daily"], ["notify", "test"], ["schedule", "crontab"]):
        ended = subprocess.run([OPSNB, *command], capture_output=True, text=True, check=False)
        assert ended.returncode == 64
        assert "runbooks has 'helth/*', which matches nothing" in ended.stderr


def test_a_run_by_hand_tells_nobody_unless_asked(hook: Receiver, service: Receiver) -> None:
    service.status = 500
    configure(hook, service)
    command = [OPSNB, "run", "health/daily", "-t", "shop-1"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    assert hook.messages() == []
    configure(hook, service, channel="manual = true\n")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    (message,) = hook.messages()
    assert "\nRun: health/daily, manual, " in message["message"]


def test_status_and_check_of_what_cron_ran(hook: Receiver, service: Receiver) -> None:
    configure(hook, service)
    as_cron()
    (run_id,) = Store(load_config().store).run_ids()

    def opsnb(*words: str) -> subprocess.CompletedProcess[str]:
        command = [OPSNB, "schedule", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    checked = opsnb("check")
    assert checked.returncode == 0
    assert checked.stdout.startswith("SCHEDULES OK: 1 schedule is on time | late=0")
    (status,) = json.loads(opsnb("status", "--json", "-t", "shop-1").stdout)
    assert status["last"]["run_id"] == run_id
    assert (status["late"], status["missed"], status["checks"]) == (False, [], ["shop-1"])
    assert opsnb("check", "dayly").returncode == 64
