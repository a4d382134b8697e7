"""Only what is not up is restarted, by the command of the manager that keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from opsnb.actions.action import Plan
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.errors import UsageError
from opsnb.model import ActionRecord, ActionState, Status, now
from opsnb.systems import processes
from opsnb.systems.processes.settings import Processes
from tests.systems.processes.test_checks import APP, container, pm2_entry, printing


def target(
    command: Path,
    script: str,
    *names: str,
    manager: Literal["pm2", "docker", "systemd"] = "pm2",
) -> Target:
    """Return a target whose manager's program does what `script` says."""
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    settings = Processes(manager=manager, names=names, command=str(command))
    return Target(name="t", processes=settings)


def shown(plan: Plan, command: Path) -> str:
    return plan.command.replace(str(command), "MANAGER")


@pytest.fixture
def command(tmp_path: Path) -> Path:
    return tmp_path / "manager"


def listing(*entries: dict[str, Any]) -> str:
    return printing(json.dumps(list(entries)))


def test_pm2_restarts_by_name_and_only_what_is_not_up(command: Path) -> None:
    stopped = pm2_entry("worker", "stopped")
    at = target(command, listing(APP, stopped), "app", "worker")
    plan = processes.restart(at)
    assert shown(plan, command) == "MANAGER restart worker"
    assert (plan.planned, plan.summary) == (
        1, "Restart worker (stopped); nothing else is touched.",
    )  # fmt: skip
    assert (
        shown(processes.restart(at, "app"), command)
        == "MANAGER restart app; MANAGER restart worker"
    )


def test_a_daemon_that_is_gone_brings_all_back(command: Path) -> None:
    script = "echo 'The pm2 daemon of /home/x does not run.' >&2; exit 1"
    plan = processes.restart(target(command, script, "app", "worker"))
    assert (shown(plan, command), plan.planned) == ("MANAGER resurrect", 2)


def test_docker_restarts_the_container_of_a_compose_service(command: Path) -> None:
    label = "com.docker.compose.service=api"
    lines = [
        container("shop-api-1", "exited", "Exited (1) 2 minutes ago", label),
        container("shop-db-1", "running", "Up 2 hours"),
    ]
    text = "\n".join(map(json.dumps, lines))
    script = f'if [ "$1" = ps ]; then {printing(text)}\nfi'
    plan = processes.restart(target(command, script, "api", "shop-db-1", manager="docker"))
    assert shown(plan, command) == "MANAGER restart shop-api-1"


def test_docker_starts_nothing_that_is_not_named(command: Path) -> None:
    lines = [
        container("api", "running", "Up 2 hours"),
        container("db-before-upgrade", "exited", "Exited (137) 5 months ago"),
    ]
    text = "\n".join(map(json.dumps, lines))
    script = f'if [ "$1" = ps ]; then {printing(text)}\nfi'
    at = target(command, script, manager="docker")
    plan = processes.restart(at)
    assert (plan.planned, plan.warning[:26]) == (0, "db-before-upgrade is down,")
    assert "set names in [targets.t.processes]" in plan.warning
    plan = processes.restart(at, "db-before-upgrade")
    assert shown(plan, command) == "MANAGER restart db-before-upgrade"


def test_systemd_restarts_the_unit(command: Path) -> None:
    text = "LoadState=loaded\nActiveState=failed\nSubState=failed\nNRestarts=3"
    plan = processes.restart(target(command, printing(text), "api.service", manager="systemd"))
    assert shown(plan, command) == "MANAGER restart api.service"


def test_an_unknown_process_is_told_with_the_nearest(command: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'app'"):
        processes.restart(target(command, listing(APP), "app"), "ap")


def test_one_that_was_to_be_restarted_though_it_is_up_is_not_forgotten(command: Path) -> None:
    at = target(command, listing(APP), "app")
    former = ActionRecord(
        id="1", name="processes.restart", title="", target="t", terms={"names": ["app"]},
        state=ActionState.APPLYING, started=now(),
    )  # fmt: skip
    assert processes.restart.again(at, former, "app").planned == 1


def test_what_has_done_its_work_is_never_started(command: Path) -> None:
    due = {"autorestart": False, "cron_restart": "0 3 * * *"}
    done = pm2_entry("nightly", "stopped", exit_code=0, **due)
    failed = pm2_entry("hourly", "stopped", exit_code=2, **due)
    at = target(command, listing(APP, done, failed))
    plan = processes.restart(at)
    assert (plan.planned, plan.summary) == (0, "app is up.")
    assert plan.warning == (
        "hourly failed when it last ran (stopped, exit code 2); it runs when it is due."
    )
    for name in ("nightly", "hourly"):
        with pytest.raises(UsageError, match="it runs when it is due"):
            processes.restart(at, name)


def test_instances_that_are_up_go_on(command: Path) -> None:
    down = pm2_entry("app", "errored") | {"pm_id": 3}
    at = target(command, listing(APP, down), "app")
    assert shown(processes.restart(at), command) == "MANAGER restart 3"
    assert shown(processes.restart(at, "app"), command) == "MANAGER restart app"


def test_one_that_is_starting_is_left_alone(command: Path) -> None:
    plan = processes.restart(target(command, listing(pm2_entry("app", "launching")), "app"))
    assert (plan.planned, plan.warning) == (0, "app is starting, so it is left alone.")


def test_a_daemon_that_is_gone_brings_back_what_it_saved(command: Path) -> None:
    script = "echo 'The pm2 daemon of /home/x does not run.' >&2; exit 1"
    plan = processes.restart(target(command, script))
    assert (shown(plan, command), plan.planned) == ("MANAGER resurrect", 1)
    assert plan.summary.startswith(
        "pm2's daemon is not running: bring back what it had saved as running."
    )


@pytest.mark.parametrize("script", ['echo \'[{"name":"app","pm2_\'', "exit 127", "echo oh"])
def test_a_list_that_is_not_known_starts_nothing(command: Path, script: str) -> None:
    at = target(command, script, "app")
    record, (found,) = Guard(at, False, "", lambda _: None).act(processes.restart)
    assert (record.state, found.status) == (ActionState.FAILED, Status.UNKNOWN)
    assert "is up" not in f"{record.summary} {found.message}"


def docker_that_restarts(folder: Path, *, truly: bool) -> str:
    """Return a script: a docker of one container, which it starts again, or only says so."""
    before = (
        '{"id":"id-api","restarts":0,"started":"2026-11-23T14:00:00Z","policy":"always","code":0}'
    )
    line = json.dumps(container("api", "running", "Up 2 hours"))
    act = f"sed -i s/14:00/14:05/ {folder}/inspect" if truly else ":"
    (folder / "inspect").write_text(before)
    return (
        f'case "$1" in\nps) {printing(line)}\n;;\ninspect) cat {folder}/inspect;;\n'
        f"restart) {act};;\nesac"
    )


@pytest.mark.parametrize("truly", [True, False])
def test_a_restart_is_one_only_with_another_start(
    command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truly: bool
) -> None:
    monkeypatch.setattr("opsnb.systems.processes.restarting._PATIENCE_S", 0.0)
    at = target(command, docker_that_restarts(tmp_path, truly=truly), "api", manager="docker")
    record, (found,) = Guard(at, True, "", lambda _: None).act(processes.restart, "api")
    assert record.state is ActionState.APPLIED
    assert record.verified is truly
    if not truly:
        assert found.message == "api still runs since before: it was not restarted."


def test_nothing_that_is_listed_verifies_nothing(command: Path) -> None:
    record, (found,) = Guard(target(command, listing()), True, "", lambda _: None).act(
        processes.restart
    )
    assert (record.planned, bool(record.verified), found.status) == (0, False, Status.UNKNOWN)
    assert "lists no process" in found.message


def test_a_paused_container_goes_on(command: Path) -> None:
    line = json.dumps(container("api", "paused", "Up 2 hours (Paused)"))
    script = f'if [ "$1" = ps ]; then {printing(line)}\nfi'
    plan = processes.restart(target(command, script, "api", manager="docker"))
    assert shown(plan, command) == "MANAGER unpause api"


def test_one_that_does_not_stay_up_is_told(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsnb.systems.processes.restarting._PATIENCE_S", 0.0)
    at = target(command, listing(pm2_entry("app", "errored", restart_time=16)), "app")
    record, (found,) = Guard(at, True, "", lambda _: None).act(processes.restart)
    assert (record.state, record.verified) == (ActionState.APPLIED, False)
    assert found.status is Status.CRIT
    assert "app (errored, 16 restarts) did not stay up" in found.message
