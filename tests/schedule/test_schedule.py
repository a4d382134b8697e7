"""Schedules: what opsnb.toml says, when they are due, what cron calls and what it is given."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from filelock import FileLock

from opsnb.config.file import Config, load_config, variables
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError, Locked, OpsnbError, UsageError
from opsnb.records.store import Store
from opsnb.schedule import crontab, environment, jobs, running
from opsnb.schedule.log import log_file
from opsnb.timetable import standing, times

OPSNB = str(Path(sys.executable).with_name("opsnb"))
TARGETS = """
[targets.shop]
api_url = "http://127.0.0.1:1"
[targets.shop-two]
api_url = "http://127.0.0.1:2"
[targets.safe]
redis_url = "redis://127.0.0.1:1"
protected = true
"""
DAILY = """
[[schedules]]
name = "daily"
runbook = "health/daily"
cron = "15 7 * * *"
targets = ["shop"]
parameters = { hours = "24h" }
"""


@pytest.fixture(autouse=True)
def _plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the PATH of this machine is: cron's lines are not."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")


def config(*tables: str) -> Config:
    Path("opsnb.toml").write_text(TARGETS + "".join(tables))
    return load_config()


def schedule(cron: str) -> Schedule:
    return Schedule(name="s", runbook="health/daily", cron=cron, targets=("shop",))


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("15 7 * * *", "2026-11-23T07:15:00", "2026-11-24T07:15:00+01:00"),
        ("0 2 * * 0", "2026-11-23T00:00:00", "2026-11-29T02:00:00+01:00"),
        # The hour that is left out in spring, and the one that comes twice in autumn.
        ("30 2 * * *", "2026-03-28T12:00:00", "2026-03-29T03:00:00+02:00"),
        ("0 0 * JUL WED", "2026-11-23T00:00:00", "2027-07-07T00:00:00+02:00"),
        ("30 2 * * *", "2026-10-24T12:00:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_the_next_time_is_in_the_local_zone(cron: str, after: str, due: str) -> None:
    at = datetime.fromisoformat(after).replace(tzinfo=BERLIN)
    assert times.next_times(schedule(cron), at, 1)[0].isoformat() == due


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-23T07:15:02", "2026-11-23T07:15"),
        ("2026-11-23T07:15:00", "2026-11-23T07:15"),
        ("2026-11-23T07:14:59", "2026-11-22T07:15"),
        ("2026-11-23T09:00:00", "2026-11-23T07:15"),
    ],
)
def test_the_time_that_a_run_was_due_at(now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    found = times.last_time(schedule("15 7 * * *"), at)
    assert found == datetime.fromisoformat(due).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    "cron", ["", "daily", "61 * * * *", "0 0 * *", "0 0 0 * * *", "0 0 L * *", "0 0 * * 5l"]
)
def test_what_cron_would_not_take_is_refused(cron: str) -> None:
    with pytest.raises(ConfigError, match="is not a cron expression"):
        times.next_times(schedule(cron), datetime.now(BERLIN), 1)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (DAILY.replace("health/daily", "health/dayly"), "Did you mean 'health/daily'?"),
        (DAILY.replace('"shop"', '"shoop"'), "Did you mean 'shop'?"),
        (DAILY.replace("hours", "huors"), "Did you mean 'hours'?"),
        (DAILY.replace("24h", "-1h"), "cannot be used"),
        (DAILY.replace('["shop"]', "[]"), "it has no targets"),
        (DAILY + "apply = true\n", "changes nothing; leave out apply"),
        (DAILY.replace("{ hours", '{ target = "shop", hours'), "write target next to parameters"),
    ],
)
def test_a_schedule_that_cannot_be_run_is_told_before_cron_has_it(table: str, told: str) -> None:
    found = config(table)
    with pytest.raises(UsageError, match="Schedule daily: ") as caught:
        crontab.block(found, None)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (DAILY + "timeuot = 60\n", "Did you mean 'timeout'?"),
        (DAILY.replace("name =", "# name ="), "name must be set"),
        (DAILY + DAILY, "two schedules named 'daily'"),
    ],
)
def test_a_mistyped_table_is_told_when_the_file_is_read(table: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        config(table)


def test_a_run_is_logged_and_its_record_says_what_it_was_for() -> None:
    now = datetime.now().astimezone()
    result = running.run("daily", config(DAILY), now, []).result
    assert result.exit_code == 2  # nobody listens there
    assert result.trigger == "schedule daily"
    assert result.scheduled == times.last_time(schedule("15 7 * * *"), now)
    (line,) = log_file().read_text().splitlines()
    assert f"daily run={result.run_id} exit=2 The API at http://127.0.0.1:1 cannot be" in line
    (found,) = standing.standings(load_config(), Store(load_config().store), times.local_now())
    assert found.last is not None
    assert (found.last.run_id, found.last.status) == (result.run_id, "crit")
    assert json.loads(json.dumps(found.as_json()))["last"]["run_id"] == result.run_id


def test_several_targets_are_one_run_with_a_summary() -> None:
    several = DAILY.replace('"shop"', '"shop*"')
    result = running.run("daily", config(several), datetime.now().astimezone(), []).result
    assert result.is_summary
    assert {each.target for each in Store(load_config().store).results()} == {
        "shop",
        "shop-two",
        "shop*",
    }


def test_one_that_still_runs_is_left_out_and_logged() -> None:
    found = config(DAILY)
    with (
        FileLock(running.lock_file(found.schedules[0], found)),
        pytest.raises(Locked, match="is still running"),
    ):
        running.run("daily", found, datetime.now().astimezone(), [])
    assert "daily exit=75 Schedule daily is still running" in log_file().read_text()
    assert list(Store(found.store).run_ids()) == []


def test_a_schedule_of_that_name_in_another_file_runs_meanwhile(tmp_path: Path) -> None:
    found = config(DAILY)
    other = tmp_path / "other" / "opsnb.toml"
    other.parent.mkdir()
    other.write_text(TARGETS + DAILY)
    with FileLock(running.lock_file(found.schedules[0], found)):
        result = running.run("daily", load_config(other), datetime.now().astimezone(), []).result
    assert result.exit_code == 2


def test_what_is_wrong_before_the_run_is_logged_for_cron() -> None:
    Path("opsnb.toml").write_text('[records]\nstore = "${NOWHERE_SET}"\n' + TARGETS + DAILY)
    ended = subprocess.run([OPSNB, "schedule", "run", "daily"], capture_output=True, check=False)
    assert ended.returncode == 64
    assert "daily exit=64 " in (log := log_file().read_text())
    assert "uses ${NOWHERE_SET}" in log


def test_what_is_wrong_is_logged_too() -> None:
    with pytest.raises(OpsnbError):
        running.run("dayly", config(DAILY), datetime.now().astimezone(), [])
    assert "dayly exit=64 There is no schedule 'dayly'" in log_file().read_text()


ACTING = """
[[schedules]]
name = "clean"
runbook = "queues/clean_failed"
cron = "0 2 * * 0"
targets = ["safe"]
parameters = { queue = "ai-analysis", older_than = "7d" }
apply = true
"""


def test_a_schedule_acts_only_where_it_says_so() -> None:
    found = config(ACTING + 'confirm = ["safe"]\n')
    parameters = jobs.job(found.schedules[0], found).parameters
    assert (parameters["apply"], parameters["confirm"]) == (True, "safe")
    assert parameters["older_than"] == 168
    found = config(ACTING.replace("apply = true", ""))
    assert jobs.job(found.schedules[0], found).parameters["apply"] is False


def test_variables_that_cron_lacks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    more = '[targets.cache]\nredis_url = "redis://:${SHOP_PASSWORD}@127.0.0.1:1"\n'
    found = config(more, DAILY.replace('"shop"', '"shop", "ca*"'))
    with pytest.raises(ConfigError, match="uses SHOP_PASSWORD, which cron does not have"):
        crontab.block(found, None)
    secrets = Path("secrets.env")
    secrets.write_text("# for cron\n\nexport SHOP_PASSWORD='it is 100%'\n")
    secrets.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read it; chmod 600 it"):
        crontab.block(found, secrets)
    secrets.chmod(0o600)
    assert f"--environment {secrets.resolve()}" in crontab.block(found, secrets)
    assert environment.read_environment(secrets) == {"SHOP_PASSWORD": "it is 100%"}
    assert "hunter2" not in crontab.block(found, secrets)


def test_variables_of_targets_that_no_schedule_names_are_not_asked_for() -> None:
    more = '[targets.other]\nredis_url = "${OTHER_REDIS_URL}"\n'
    assert "schedule run daily" in crontab.block(config(more, DAILY), None)
    with pytest.raises(ConfigError, match="uses OTHER_REDIS_URL"):
        crontab.block(config(more, DAILY.replace('["shop"]', '["all"]')), None)
    own = '[records]\nstore = "s3://${BUCKET}/records"\n'
    Path("opsnb.toml").write_text(TARGETS + own + DAILY)
    assert variables(Path("opsnb.toml"), ()) == ["BUCKET"]


def test_cron_is_given_what_a_manager_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PM2_HOME", "/srv/app/.pm2")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    block = crontab.block(config(DAILY), None)
    assert "PM2_HOME=/srv/app/.pm2" in block
    assert "TZ=Europe/Berlin" in block
    assert "DOCKER_HOST" not in block
    docker = '[targets.boxes]\nprocesses = { manager = "docker" }\n'
    far = '[targets.far]\nhost = "ssh://ops@far"\n'
    block = crontab.block(config(docker, DAILY.replace('"shop"', '"boxes"')), None)
    assert "DOCKER_HOST=unix:///run/user/1000/docker.sock" in block
    assert "PM2_HOME" not in crontab.block(config(far, DAILY.replace('"shop"', '"far"')), None)


def test_variables_in_comments_are_not_asked_for() -> None:
    Path("opsnb.toml").write_text("# the password is ${NOT_USED}\n" + TARGETS + DAILY)
    assert variables(Path("opsnb.toml")) == []


def test_a_relative_record_store_is_where_it_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSNB_RECORDS", "kept here")
    assert f"'OPSNB_RECORDS={Path('kept here').resolve()}'" in crontab.block(config(DAILY), None)
    monkeypatch.setenv("OPSNB_RECORDS", "s3://bucket/records")
    assert "OPSNB_RECORDS=s3://bucket/records " in crontab.block(config(DAILY), None)


def test_an_expression_stays_on_one_line() -> None:
    found = config(DAILY.replace('"15 7 * * *"', r'"15 7 * *\n*"'))
    assert "\n15 7 * * * cd " in crontab.block(found, None)


def test_the_line_runs_in_a_bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Path("a folder of 100%")
    strange.mkdir()
    monkeypatch.chdir(strange)
    text = crontab.block(config(DAILY), None)
    line = next(line for line in text.splitlines() if line.startswith("15 7"))
    command = line.removeprefix("15 7 * * * ").replace(r"\%", "%")
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(Path().resolve())}
    ended = subprocess.run(["/bin/sh", "-c", command], env=bare, cwd="/", check=False)
    assert ended.returncode == 2
    assert "exit=2" in log_file().read_text()


@pytest.fixture
def own_crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `crontab` command that keeps its text in a file, as the real one does in its spool."""
    path = tmp_path / "spool"
    command = tmp_path / "bin" / "crontab"
    command.parent.mkdir()
    command.write_text(
        f"#!/bin/sh\nif [ $1 = -l ]; then [ -f {path} ] && cat {path} || "
        f"{{ echo no crontab for you >&2; exit 1; }}; else cat > {path}; fi\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    return path


def test_only_its_own_block_is_changed(own_crontab: Path, tmp_path: Path) -> None:
    found = config(DAILY)
    crontab.install(found, None)
    assert own_crontab.read_text() == crontab.block(found, None)
    before, after = b"# caf\xe9\r\n0 0 * * * true % %\n\n", b"MAILTO=me\n1 1 * * * false\n"
    own_crontab.write_bytes(before + own_crontab.read_bytes() + after)
    changed = config(DAILY.replace("15 7", "30 8"))
    crontab.install(changed, None)
    assert own_crontab.read_bytes() == before + crontab.block(changed, None).encode() + after
    assert crontab.remove(changed)
    assert own_crontab.read_bytes() == before + after
    assert not crontab.remove(changed)


def test_without_cron_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no crontab command here\. Install cron"):
        crontab.install(config(DAILY), None)


def test_the_example_of_the_guide_can_be_run() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide" / "schedule.md"
    example = guide.read_text().split("```toml")[1].split("```")[0]
    Path("opsnb.toml").write_text('[targets.local]\napi_url = "http://127.0.0.1:1"\n' + example)
    assert crontab.block(load_config(), None).count("schedule run") == 2
