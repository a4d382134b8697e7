"""Releases on the demo: a good one, a bad one and back, one that hangs, and one that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from opsnb.actions import journal
from opsnb.actions.guard import Guard
from opsnb.config.file import load_target
from opsnb.config.places import state_home
from opsnb.config.target import Target
from opsnb.demo.home import Home
from opsnb.demo.releases import BAD, FIRST, GOOD, Releases
from opsnb.errors import NotConfigured, Refused, UsageError
from opsnb.handbook.deployment import deploy as deploying
from opsnb.handbook.deployment import pre_deploy, releases, rollback, verify
from opsnb.model import ActionRecord, ActionState, Finding, RunResult, Status
from opsnb.systems import deploy, queues
from opsnb.systems.deploy.settings import Deploy
from tests import incident, queue_jobs
from tests.handbook.records import keep
from tests.operate.deployment import TICKED, bring, first_release, version
from tests.processes import lives
from tests.runs import run_once

UNCHECKED = {"apply": "true", "unchecked_by": "Ann"}
WITHOUT = ("-p", "unchecked_by=Ann")
COMMANDS = ("migrate", "fetch", "install", "build", "restart", "smoke")


@pytest.fixture
def released(demo: Target) -> Iterator[Target]:
    """The demo with its first release, and a good one to be fetched."""
    first_release(demo)
    yield demo
    first_release(demo)


def publish(release: str) -> None:
    Releases(Home.current()).publish(release)


def deployed(target: Target) -> tuple[ActionRecord, Finding]:
    """Deploy as the runbook does, and return the journal and the effect."""
    guard = Guard(target, apply=True, confirm="", show=lambda _: None)
    record, found = guard.act(deploying.release)
    return record, found[-1]


def changed(target: Target, **commands: list[str]) -> Target:
    """Return the target with other commands."""
    return target.changed(deploy=Deploy.of(target).model_copy(update=commands))


def test_a_bad_release_stops_at_its_smoke_test_and_the_rollback_mends_it(released: Target) -> None:
    before = deploy.release(released)
    publish(BAD)
    result = run_once(released, "deployment/deploy", {**UNCHECKED, "minutes": "10m"})
    (_, done) = result.actions
    assert done.state is ActionState.FAILED
    assert [row["state"] for row in done.sample][-2:] == ["failed", "to do"]
    assert queues.pauses(released).status is Status.OK
    assert deploy.paths(released).status is Status.CRIT
    effect = next(each for each in result.findings if each.name == "deploying.release.verify")
    assert "It stopped at 'smoke test'" in effect.message
    assert effect.remedies[0].command == (
        f"opsnb run deployment/rollback -t demo -p release={before}"
    )
    cut_off = releases.unfinished(released)
    assert f"{result.run_id} stopped at 'smoke test'" in cut_off.message
    assert f"opsnb run --resume {result.run_id}" in cut_off.message
    assert "FAIL /api/projects 500" in cut_off.message
    # Another one would find what this one has fetched, which has never run.
    assert deploying.release(released).terms == {"before": before}
    assert rollback.go_back(released).terms["to"] == before
    assert_nothing_is_left(incident.mended(released, effect, minutes="1s"))
    assert version(released) == FIRST
    assert deploy.paths(released).status is Status.OK
    assert releases.unfinished(released).status is Status.OK
    with pytest.raises(Refused, match="no release before"):
        rollback.go_back(released)


def record(target: Target, minutes_ago: int, **terms: str) -> None:
    """Leave a record of a deployment, or of a rollback, that came to its end."""
    runbook, name = ("rollback", "go_back") if "to" in terms else ("deploy", "release")
    began = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    done = ActionRecord(
        id="a1",
        name=f"deploying.{name}",
        title="",
        target=target.name,
        started=began,
        state=ActionState.APPLIED,
        terms=terms,
    )
    keep(began, runbook=f"deployment/{runbook}", target=target.name, actions=[done])


@pytest.mark.parametrize(
    ("past", "at", "before"),
    [
        ([{"before": "a"}], "b", "a"),
        ([{"before": "a"}, {"before": "b"}], "c", "b"),
        ([{"before": "a"}, {"before": "b"}, {"before": "c", "to": "b"}], "b", "a"),
        ([{"before": "a"}, {"before": "b", "to": "a"}], "a", ""),
        ([{"before": "a"}, {"before": "b", "to": "a"}, {"before": "a"}], "c", "a"),
        ([{"before": "a"}, {"before": "b"}, {"before": "b"}], "b", "a"),
    ],
)
def test_what_was_gone_back_from_is_not_before(
    demo: Target, past: list[dict[str, str]], at: str, before: str
) -> None:
    for age, terms in enumerate(reversed(past), 1):
        record(demo, age, **terms)
    assert releases.release_before(releases.changes(demo), at) == before


@pytest.mark.parametrize("name", ["v1.3.9", "--help", " ", "main; touch here"])
def test_a_release_that_does_not_exist_is_refused_before_anything_is_done(
    released: Target, name: str, tmp_path: Path
) -> None:
    down = ["sh", "-c", f"touch {tmp_path / 'down'}"]
    with pytest.raises(UsageError, match="There is no release"):
        rollback.go_back(changed(released, migrate_down=down), name, migrate_down=True)
    assert not (tmp_path / "down").exists()


def test_a_missing_item_of_the_checklist_blocks(released: Target) -> None:
    def demand(**more: str) -> None:
        pre_deploy.demand(released, apply=True, hours=1, **more)

    pre_deploy.demand(released, apply=False, hours=1)
    with pytest.raises(Refused, match=r"No checklist .* -p unchecked_by=NAME"):
        demand()
    run_once(released, "deployment/pre_deploy", {**TICKED, "reviewed_by": " - "})
    with pytest.raises(Refused, match=r"lacks: .*Code review"):
        demand()
    demand(unchecked_by="Ann")
    run_once(released, "database/backup", {"apply": "true"})
    run_once(released, "deployment/pre_deploy", TICKED)
    demand()


def test_the_rollback_finds_the_release_before_in_the_records(released: Target) -> None:
    before = deploy.release(released)
    run_once(released, "deployment/deploy", {**UNCHECKED, "minutes": "1s"})
    assert version(released) == GOOD
    plan = rollback.go_back(released)
    assert plan.terms["to"] == before
    compared = verify.with_before(released, [queues.depth(released)])
    assert [row["compared"] for row in compared.rows] == ["same"]
    assert compared.status is Status.OK


def test_without_a_record_git_knows_the_release_before(released: Target) -> None:
    before = deploy.release(released)
    bring(released, GOOD)
    assert rollback.go_back(released).terms["to"] == before
    with pytest.raises(Refused, match="is there already"):
        rollback.go_back(released, deploy.release(released))


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    released: Target, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    hanging = ["sh", "-c", f"sleep 600 & echo $! > {pid}; wait"]
    # The steps before it are left out: they may take longer than its limit.
    target = changed(released, migrate=[], fetch=[], install=[], build=hanging, limit_s=1)  # type: ignore[arg-type]
    record, effect = deployed(target)
    assert record.state is ActionState.FAILED
    assert "did not finish within 1.0 s" in (record.error or "")
    assert effect.status is Status.CRIT
    assert not lives(int(pid.read_text()))
    assert queues.pauses(released).status is Status.OK


def test_what_was_changed_by_hand_is_not_lost(released: Target) -> None:
    file = Path(Deploy.of(released).folder, "src/routes/projects.ts")
    file.write_text(file.read_text() + "// mended at night\n")
    assert deploy.clean(released).status is Status.CRIT
    with pytest.raises(Refused, match="changed by hand"):
        deploying.release(released)
    assert version(released) == FIRST


def test_a_target_that_says_nothing_of_releases_is_told_what_to_write() -> None:
    with pytest.raises(NotConfigured, match=r"set folder in \[targets.shop.deploy\]"):
        deploying.release(Target(name="shop"))


def opsnb(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "opsnb", *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(*arguments: str) -> RunResult:
    told, _ = opsnb(*arguments).communicate(timeout=120)
    return RunResult.model_validate_json(told)


def of_release(result: RunResult) -> ActionRecord:
    """Return the journal of the deployment itself."""
    found = [each for each in result.actions if each.name == "deploying.release"]
    assert found, result.error
    return found[0]


def kill(process: psutil.Process) -> None:
    """Kill a process with all that it has started, so that nothing of it can say a word.

    They are stopped first, the kernel before its runner: else it would begin to put things back in
    the moment between. Nobody goes on before all of them are gone, or they would count as alive.
    """
    started = [*process.children(recursive=True), process]
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive


def killed(arguments: Sequence[str], reached: Callable[[], bool]) -> None:
    """Kill a run as soon as it has come so far."""
    run = opsnb("run", *arguments)
    ends = time.monotonic() + 60
    while not reached():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < ends
        time.sleep(0.01)
    kill(psutil.Process(run.pid))
    run.wait()


def recorded() -> set[str]:
    listed = [sys.executable, "-m", "opsnb", "records", "list", "--json"]
    return {each["run_id"] for each in json.loads(subprocess.check_output(listed, text=True))}


def assert_nothing_is_left(result: RunResult) -> None:
    """Assert that a run which finished a change says nothing of one that is unfinished."""
    counted = {each.name: each.status for each in result.counted}
    names = ("deploying.left_paused", "releases.unfinished", "deploy.paths", "deploy.clean")
    assert {name: counted[name] for name in names} == dict.fromkeys(names, Status.OK)


def test_a_deployment_that_is_killed_at_each_command_is_continued(
    released: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run continues the one before it, up to the next command."""
    plain = Home.current().config.read_text().replace("[targets.demo", "[targets.shop")
    plain = plain.replace("[[targets.demo", "[[targets.shop")
    config = tmp_path / "opsnb.toml"
    monkeypatch.setenv("OPSNB_CONFIG", str(config))
    run: tuple[str, ...] = ("deployment/deploy", "-t", "shop", "--apply", "-p", "minutes=1s")
    run += WITHOUT
    for command in COMMANDS:
        reached = tmp_path / command
        hanging = json.dumps(["sh", "-c", f"touch {reached}; sleep 600"])
        lines = [line for line in plain.splitlines() if not line.startswith(f"{command} =")]
        at = lines.index("[targets.shop.deploy]") + 1
        config.write_text("\n".join([*lines[:at], f"{command} = {hanging}", *lines[at:]]))
        killed(run, reached.exists)
        config.write_text(plain)
        shop = load_target("shop")
        left = deploying.left_paused(shop)
        assert left.status is Status.WARN
        assert len(left.rows) == 3
        assert "left paused" in deploying.release(shop).summary
        run = ("--resume", "latest")
    cut_off = run_once(shop, "deployment/deploy", {})
    assert "left paused" in of_release(cut_off).summary
    killed_ones = recorded() - {cut_off.run_id}
    assert len(killed_ones) == len(COMMANDS)
    result = finished("run", "--resume", max(killed_ones))
    done = of_release(result)
    assert (done.state, done.verified) == (ActionState.APPLIED, True)
    # What the run continued was unfinished as it began, and counts as it ended.
    before = {each.name for each in result.findings if each.superseded}
    assert {"deploying.left_paused", "releases.unfinished"} <= before
    assert_nothing_is_left(result)
    # Of the commands only the last was left; the queues are held and released again.
    assert done.planned == 4
    assert version(released) == GOOD
    assert queues.pauses(released).status is Status.OK


def journals() -> set[Path]:
    return set(state_home().glob("running/*/journal.jsonl"))


def at_step(step: str, past: set[Path]) -> bool:
    """Say whether the deployment that runs has come to `step`, as its journal has it.

    Those that were killed may have left theirs: they are `past`.
    """
    for record in (record for path in journals() - past for record in journal.read(path)):
        if record.name == "database.backup" and step == "backup":
            return record.begun
        if record.name == "deploying.release":
            if step == "watch":
                return bool(record.verified)
            return any(row["step"] == step and row["state"] != "to do" for row in record.sample)
    return False


HOLDS = {
    "backup": {False},
    "pause the queues": {True, False},
    "wait for active jobs": {True},
    "wait until it answers": {True},
    "resume the queues": {True, False},
    "watch": {False},
}
"""Whether queues are held when a run is killed at a step."""


def test_a_deployment_that_is_killed_between_its_commands_is_continued(released: Target) -> None:
    """Each run continues the one before it, up to the next step."""
    run: tuple[str, ...] = ("deployment/deploy", "-t", "demo", "--apply", "-p", "minutes=3s")
    run += WITHOUT
    for step, holds in HOLDS.items():
        if step == "wait for active jobs":
            queue_jobs.write_active(released, "exports", "endless", age_s=5, lock_s=60)
        killed(run, partial(at_step, step, journals()))
        queue_jobs.finish(released, "exports", "endless")
        left = deploying.left_paused(released)
        assert bool(left.rows) in holds, step
        if left.rows:
            assert left.remedies[0].runbook == "queues/resume"
        run = ("--resume", "latest")
    result = finished("run", *run)
    done = of_release(result)
    assert (done.state, done.verified) == (ActionState.APPLIED, True), done.error
    assert version(released) == GOOD
    assert queues.pauses(released).status is Status.OK
    assert deploying.left_paused(released).status is Status.OK


def test_the_restart_names_the_processes_of_the_service(tmp_path: Path) -> None:
    """`pm2 restart all` would start scripts that have done their work, and other services."""

    def at(**kept: Any) -> Target:
        return Target(name="t", deploy={"folder": str(tmp_path)}, processes=kept)

    assert deploy.restart(at(names=("api", "worker"))) == ["pm2", "restart", "api", "worker"]
    assert deploy.restart(at(manager="systemd", names=("api",))) == ["systemctl", "restart", "api"]
    with pytest.raises(NotConfigured, match=r"set restart in \[targets\.t\.deploy\]"):
        deploy.restart(at(manager="docker", names=("api",)))
    listed = [
        {"name": "api", "pm2_env": {"status": "online"}},
        {
            "name": "nightly",
            "pm2_env": {"status": "stopped", "autorestart": False, "exit_code": 0},
        },
    ]
    program = tmp_path / "manager"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(listed)}'\n")
    program.chmod(0o755)
    assert deploy.restart(at(command=str(program))) == [str(program), "restart", "api"]
    own = Target(name="t", deploy={"folder": "/srv", "restart": ["systemctl", "restart", "shop"]})
    assert list(deploy.restart(own)) == ["systemctl", "restart", "shop"]


def test_a_step_that_is_not_configured_never_counts_as_done(tmp_path: Path) -> None:
    """A service without Redis, API and tests: what is not there is said, and proves nothing."""
    program = tmp_path / "manager"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    nothing = dict.fromkeys(("migrate", "fetch", "install", "smoke"), ())
    table = {
        **nothing,
        **{name: ["echo", "one"] for name in ("release", "before", "build")},
        "folder": str(tmp_path),
        "changes": ["true"],
        "restart": [str(program)],
    }
    shop = Target(name="shop", deploy=table, logs=())
    record, (found,) = Guard(shop, True, "", lambda _: None).act(deploying.release)
    states = {row["step"]: row["state"] for row in record.sample}
    assert states["build"] == states["restart"] == "done"
    assert states["smoke test"] == states["pause the queues"] == "not configured"
    assert (record.planned, record.applied) == (2, 2)
    assert "Not configured, so not done: pause the queues," in found.message
    assert (found.status, record.verified) == (Status.UNKNOWN, False)


def test_what_the_target_does_not_have_is_not_checked() -> None:
    bare = Target(name="bare")
    for finding in (pre_deploy.backup(bare, "backups"), pre_deploy.calm(bare)):
        assert finding.status is Status.SKIPPED
        assert finding.message.startswith("Not checked: target bare names no ")
