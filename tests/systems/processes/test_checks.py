"""Processes under pm2, docker and systemd: what their programs print, and when they fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, NotConfigured, TimedOut
from opsnb.model import Finding, Status
from opsnb.systems import processes
from opsnb.systems.processes import docker, judge, listing, programs
from opsnb.systems.processes.docker import parse_docker
from opsnb.systems.processes.pm2 import parse_pm2
from opsnb.systems.processes.settings import Processes
from opsnb.systems.processes.systemd import parse_systemd
from tests.systems.ssh_stand_in import stand_in

AT = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


def pm2_entry(name: str, status: str, **env: Any) -> dict[str, Any]:
    """Return an entry as pm2 7.0.4 prints it, without the environment that it prints too."""
    known = {
        "status": status,
        "restart_time": 0,
        "unstable_restarts": 0,
        "pm_uptime": 1795444111445,
        "exec_mode": "fork_mode",
        "created_at": 1795444111445,
        "instances": 1,
        "version": "1.0.0",
    }
    online = status == "online"
    monit = {"memory": 55214080, "cpu": 0.2} if online else {"memory": 0, "cpu": 0}
    pid = 8759 if online else 0
    return {"pid": pid, "name": name, "pm2_env": known | env, "pm_id": 0, "monit": monit}


APP = pm2_entry("app", "online")
WORKER = pm2_entry("worker", "online")


@pytest.fixture
def manager(tmp_path: Path) -> Path:
    return tmp_path / "manager"


def check(
    command: Path,
    script: str,
    *names: str,
    manager: Literal["pm2", "docker", "systemd"] = "pm2",
) -> Finding:
    """Return the finding with a manager's program that does what `script` says."""
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    settings = Processes(manager=manager, names=names, command=str(command))
    return processes.up(Target(name="t", processes=settings))


def printing(text: str) -> str:
    return f"cat <<'END'\n{text}\nEND"


def pm2(command: Path, entries: list[dict[str, Any]], *names: str) -> Finding:
    return check(command, printing(json.dumps(entries)), *names)


# ---- pm2 --------------------------------------------------------------------------------------


def test_all_are_up(manager: Path) -> None:
    finding = pm2(manager, [APP, APP, WORKER], "app", "worker")
    assert (finding.status, finding.value, finding.unit) == (Status.OK, 0, "down")
    assert finding.message == "app (2 instances) and worker are up."
    assert [row["name"] for row in finding.rows] == ["app", "app", "worker"]
    assert {row["memory_bytes"] for row in finding.rows} == {55214080}


def test_a_named_one_that_is_stopped_or_missing(manager: Path) -> None:
    crashed = pm2_entry("worker", "errored", restart_time=15)
    finding = pm2(manager, [APP, crashed], "app", "worker", "mailer")
    assert (finding.status, finding.value) == (Status.CRIT, 2)
    assert "worker is down (errored, 15 restarts)" in finding.message
    assert "mailer is not known to pm2" in finding.message
    assert [row["state"] for row in finding.rows] == ["missing", "online", "errored"]


def test_what_is_not_named_is_not_judged(manager: Path) -> None:
    halted = pm2_entry("halted", "stopped")
    assert pm2(manager, [APP, halted], "app").status is Status.OK
    finding = pm2(manager, [APP, halted])
    assert (finding.status, finding.value) == (Status.CRIT, 1)


def test_a_part_of_a_cluster_is_down(manager: Path) -> None:
    finding = pm2(manager, [APP, APP, pm2_entry("app", "errored")], "app")
    assert (finding.status, finding.value) == (Status.WARN, 1)
    assert "1 of 3 instances of app is down (errored)" in finding.message


@pytest.mark.parametrize(("seconds", "status"), [(5, Status.WARN), (300, Status.OK)])
def test_a_process_that_restarts_in_a_loop(manager: Path, seconds: int, status: Status) -> None:
    started = (datetime.now(UTC).timestamp() - seconds) * 1000
    looping = pm2_entry("app", "online", unstable_restarts=7, restart_time=9, pm_uptime=started)
    finding = pm2(manager, [looping], "app")
    assert finding.status is status
    assert ("keeps failing (7 restarts)" in finding.message) is (status is Status.WARN)


def test_a_banner_before_the_list() -> None:
    banner = (
        ">>>> In-memory PM2 is out-of-date, do:\n>>>> $ pm2 update\n"
        "In memory PM2 version: 6.0.1\nLocal PM2 version: 7.0.4\n[PM2] [warn] hello\n\n"
    )
    (process,) = parse_pm2(banner + json.dumps([APP]), AT)
    assert (process.name, process.is_up) == ("app", True)
    assert process.uptime_s == pytest.approx(AT.timestamp() - 1795444111.445)


def test_pm2_tells_the_heap_of_v8() -> None:
    told = {"Used Heap Size": {"unit": "MiB", "value": "25.87"}}
    entry = pm2_entry("app", "online", axm_monitor=told, node_args=["--max-old-space-size=256"])
    (process,) = parse_pm2(json.dumps([entry]), AT)
    assert process.heap_bytes == pytest.approx(25.87 * 2**20, abs=1)
    assert process.heap_limit_bytes == 256 * 2**20
    (without,) = parse_pm2(json.dumps([APP]), AT)
    assert (without.heap_bytes, without.heap_limit_bytes) == (None, None)


def test_what_has_done_its_work_is_not_down(manager: Path) -> None:
    """As pm2 6.0.14 prints a script with cron_restart and autorestart: false."""
    at_night = {"autorestart": False, "cron_restart": "0 3 * * *"}
    nightly = pm2_entry("nightly", "stopped", exit_code=0, **at_night)
    finding = pm2(manager, [APP, nightly])
    assert (finding.status, finding.value) == (Status.OK, 0)
    assert finding.message == (
        "app is up, nightly ended with exit code 0 and waits for its time (0 3 * * *)."
    )
    assert pm2(manager, [APP, nightly], "app", "nightly").status is Status.OK
    failed = pm2(manager, [APP, pm2_entry("nightly", "stopped", exit_code=3, **at_night)])
    assert (failed.status, failed.value) == (Status.WARN, 0)
    assert failed.message == (
        "nightly failed when it last ran (stopped, exit code 3): see its log."
    )


@pytest.mark.parametrize(
    ("env", "status"),
    [
        ({"autorestart": False, "exit_code": 0}, Status.OK),
        ({"autorestart": False, "exit_code": 1}, Status.CRIT),
        ({"autorestart": True, "exit_code": 0}, Status.CRIT),  # stopped by hand
        ({"autorestart": True, "exit_code": 4, "stop_exit_codes": [4]}, Status.OK),
        ({"autorestart": "false", "exit_code": "0"}, Status.OK),
        ({"autorestart": False}, Status.UNKNOWN),  # an old pm2 does not say how it ended
    ],
)
def test_a_stopped_one_is_down_unless_it_has_ended_well(
    manager: Path, env: dict[str, Any], status: Status
) -> None:
    assert pm2(manager, [APP, pm2_entry("job", "stopped", **env)], "app", "job").status is status


@pytest.mark.parametrize("state", ["waiting restart", "errored", "launching", "stopping"])
def test_states_that_are_not_up(manager: Path, state: str) -> None:
    finding = pm2(manager, [APP, pm2_entry("worker", state)], "app", "worker")
    assert (finding.status, finding.value) == (Status.CRIT, 1)
    assert f"worker is down ({state})" in finding.message


def test_a_module_of_pm2_is_not_the_service(manager: Path) -> None:
    module = pm2_entry("pm2-logrotate", "errored", axm_options={"isModule": True}, pmx_module=True)
    assert pm2(manager, [APP, module]).message == "app is up."


def test_a_list_that_was_cut_is_no_list(manager: Path) -> None:
    """pm2 may end before a pipe has taken all that it printed: after 64 KiB, mostly."""
    entries = [
        pm2_entry(f"app-{n}", "online", axm_actions=[], env={"X": "y" * 5000}) for n in range(20)
    ]
    text = json.dumps(entries)[:65_536]
    for banner in ("", ">>>> In-memory PM2 is out-of-date\n", "[PM2] [WARN] x\n"):
        with pytest.raises(BadAnswer, match=r"ends after 65,\d+ bytes and is no whole JSON"):
            parse_pm2(banner + text, AT)
    for names in ((), ("app-1", "worker")):
        with pytest.raises(BadAnswer, match="no whole JSON"):
            check(manager, printing(text), *names)


def test_a_long_list_is_read_whole(manager: Path) -> None:
    """Node ends before a pipe has taken all, but not before a file has."""
    script = (
        "const one = { name: 'app', pm2_env: { status: 'online', filler: 'x'.repeat(9000) } };"
        "process.stdout.write(JSON.stringify(Array(40).fill(one))); process.exit(0);"
    )
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on the PATH")
    finding = check(manager, f'exec {node} -e "{script}"', "app")
    assert finding.message == "app (40 instances) is up."


@pytest.mark.parametrize("after", ["\n[PM2] update available\n", " \x1b[33m>> hi\x1b[0m", "\n[]\n"])
def test_words_after_the_list(after: str) -> None:
    (process,) = parse_pm2("[PM2][WARN] hello [{}]\n" + json.dumps([APP]) + after, AT)
    assert process.name == "app"


def test_the_environment_of_the_manager_is_given_to_it(
    manager: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "pm2 home"
    home.mkdir()
    (home / "pm2.pid").write_text(str(os.getpid()))
    manager.write_text(
        f"#!/bin/sh\n[ \"$PM2_HOME\" = '{home}' ] || exit 7\necho '{json.dumps([APP])}'\n"
    )
    manager.chmod(0o755)
    settings = Processes(names=("app",), command=str(manager), env={"PM2_HOME": str(home)})
    assert processes.up(Target(name="t", processes=settings)).status is Status.OK
    far = stand_in(tmp_path / "bin", monkeypatch, before="echo Welcome")
    assert processes.up(far.changed(processes=settings)).status is Status.OK


def test_a_home_that_is_not_there_is_a_matter_of_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "pm2"
    far = stand_in(tmp_path / "bin", monkeypatch)
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PM2_HOME", raising=False)
    for target in (Target(name="t"), far):
        named = target.changed(processes=Processes(names=("app",)))
        with pytest.raises(Misconfigured, match="Set PM2_HOME in the env"):
            processes.up(named)
        with pytest.raises(Misconfigured):
            processes.restart(named)
        with pytest.raises(Misconfigured):
            processes.scale(named, "app", 2)
    assert not (tmp_path / "started").exists()


def test_ps_lists_the_machine() -> None:
    text = "  1234 systemd\n 88000 PM2 v7.0.4: God\n     0 kthreadd\n"
    assert programs.parse_ps(text) == [
        ("systemd", 1234 * 1024),
        ("PM2 v7.0.4: God", 88000 * 1024),
        ("kthreadd", 0),
    ]
    with pytest.raises(BadAnswer, match="lists no processes"):
        programs.parse_ps("ps: unknown option")


def test_nothing_named_and_nothing_listed(manager: Path) -> None:
    with pytest.raises(BadAnswer, match=r"set names in \[targets\.t\.processes\]"):
        pm2(manager, [])
    assert pm2(manager, [], "app").status is Status.CRIT


@pytest.mark.parametrize("output", ["", "nonsense", "[1, 2]", '[{"name": "app"', "{}"])
def test_what_is_not_a_list(manager: Path, output: str) -> None:
    with pytest.raises(BadAnswer, match=r"did not list its processes|is no whole JSON"):
        check(manager, printing(output), "app")


def test_a_manager_that_fails(manager: Path) -> None:
    with pytest.raises(BadAnswer, match="it is broken"):
        check(manager, "echo it is broken >&2; exit 1", "app")


def test_a_manager_that_hangs(manager: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_LIMIT_S", 0.5)
    with pytest.raises(TimedOut):
        check(manager, "sleep 1000", "app")


def test_a_manager_that_is_not_installed(tmp_path: Path) -> None:
    settings = Processes(names=("app",), command=str(tmp_path / "none"))
    with pytest.raises(
        Misconfigured, match=r"Set manager and command in \[targets\.t\.processes\]"
    ):
        processes.up(Target(name="t", processes=settings))


@pytest.mark.parametrize(
    "script",
    [
        "echo 'The pm2 daemon of /home/x does not run.' >&2; exit 1",
        "echo '[PM2] Spawning PM2 daemon with pm2_home=/home/x'; echo '[]'",
    ],
)
def test_the_daemon_of_pm2_is_gone(manager: Path, script: str) -> None:
    finding = check(manager, script, "app", "worker")
    assert (finding.status, finding.value) == (Status.CRIT, 2)
    assert "app and worker are down" in finding.message
    with pytest.raises(BadAnswer, match="Name the processes"):
        check(manager, script)


def test_never_starts_a_daemon_of_pm2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pm2"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\necho '{json.dumps([APP])}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PM2_HOME", str(tmp_path))
    target = Target(name="t", processes=Processes(names=("app",)))
    ended = subprocess.Popen(["true"])
    ended.wait()
    for pid in (None, "nonsense", str(ended.pid)):
        if pid:
            (tmp_path / "pm2.pid").write_text(pid)
        assert processes.up(target).status is Status.CRIT
        assert not (tmp_path / "started").exists()
    (tmp_path / "pm2.pid").write_text(str(os.getpid()))
    assert processes.up(target).status is Status.OK


def test_a_daemon_whose_process_id_is_anothers_by_now_is_not_started(manager: Path) -> None:
    # As pm2 does: the options are those of the Node that is to become the daemon.
    script = (
        "echo '[PM2] Spawning PM2 daemon with pm2_home=/home/x/.pm2'\n"
        f"node $PM2_NODE_OPTIONS {manager}.js"
    )
    (manager.parent / "manager.js").write_text("process.exit(3)")
    assert check(manager, script, "app").status is Status.CRIT
    assert "daemon was not running" in check(manager, script, "app").message


# ---- docker -----------------------------------------------------------------------------------


def container(name: str, state: str, status: str, labels: str = "") -> dict[str, Any]:
    """Return a line of `docker ps -a --no-trunc --format json` as Docker 28 prints it."""
    return {
        "Command": '"docker-entrypoint.s…"',
        "CreatedAt": "2026-11-23 13:00:00 +0000 UTC",
        "ID": f"id-{name}",
        "Image": "app:1",
        "Labels": labels,
        "Names": name,
        "RunningFor": "2 hours ago",
        "State": state,
        "Status": status,
    }


SHOP = "com.docker.compose.project=shop,com.docker.compose.service=app"
LISTED = [
    container("shop-app-1", "running", "Up 2 hours (healthy)", SHOP),
    container("worker", "restarting", "Restarting (1) 3 seconds ago"),
    container("migrate", "exited", "Exited (0) 2 hours ago"),
    container("mailer", "running", "Up 5 minutes (unhealthy)"),
]
DETAILS = [{"id": "id-shop-app-1", "restarts": 2, "started": "2026-11-23T14:00:00.123456789Z"}]
USAGE = [{"ID": "id-shop-app-1", "CPUPerc": "0.25%", "MemUsage": "52.5MiB / 23.5GiB"}]


def docker_script(listed: list[dict[str, Any]]) -> str:
    def lines(items: list[dict[str, Any]]) -> str:
        return printing("\n".join(map(json.dumps, items)))

    return (
        f'case "$1" in\nps) {lines(listed)}\n;;\ninspect) {lines(DETAILS)}\n;;\n'
        "stats) echo Error >&2; exit 1;;\nesac"
    )


def test_what_docker_prints() -> None:
    app, worker, migrate, mailer = parse_docker(LISTED, DETAILS, USAGE, AT)
    assert (app.is_up, app.restarts) == (True, 2)
    assert app.uptime_s == pytest.approx(1799.9, abs=0.1)
    assert (app.memory_bytes, app.cpu_percent) == (int(52.5 * 2**20), 0.25)
    assert (worker.is_up, worker.state) == (False, "Restarting (1) 3 seconds ago")
    assert migrate.is_finished
    assert (mailer.is_up, mailer.status) == (True, Status.WARN)


def test_containers_are_judged(manager: Path) -> None:
    def docker(listed: list[dict[str, Any]], *names: str) -> Finding:
        return check(manager, docker_script(listed), *names, manager="docker")

    assert docker(LISTED, "app").status is Status.OK  # by its name in compose
    assert docker([LISTED[0], LISTED[2]]).status is Status.OK  # the migration has done its work
    finding = docker(LISTED, "app", "worker")
    assert finding.status is Status.CRIT
    assert "worker is down (Restarting (1) 3 seconds ago)" in finding.message
    finding = docker(LISTED, "mailer")
    assert (finding.status, finding.message) == (
        Status.WARN,
        "mailer is up, but its own health check fails.",
    )


@pytest.mark.parametrize(
    ("status", "policy", "expected"),
    [
        ("Exited (0) 2 hours ago", "no", Status.OK),
        ("Exited (0) 2 hours ago", "on-failure", Status.OK),
        ("Exited (0) 2 hours ago", "unless-stopped", Status.CRIT),  # stopped by hand
        ("Exited (0) 2 hours ago", "always", Status.CRIT),
        ("Exited (1) 2 hours ago", "no", Status.CRIT),
        ("Exited (137) 2 hours ago", "no", Status.CRIT),
    ],
)
def test_a_container_that_has_exited(status: str, policy: str, expected: Status) -> None:
    listed = [container("job", "exited", status)]
    details = [{"id": "id-job", "restarts": 0, "started": "", "policy": policy, "code": 0}]
    found = parse_docker(listed, details, [], AT)
    for names in ((), ("job",)):
        assert judge(found, Processes(manager="docker", names=names)).status is expected


def test_earlier_tasks_of_swarm_are_not_the_service() -> None:
    labels = "com.docker.swarm.service.name=shop_api,com.docker.swarm.task="
    former = container("shop_api.1.rk9f49", "exited", "Exited (137) 1 hour ago", labels)
    oldest = container("shop_api.1.e2x77a", "exited", "Exited (0) 2 days ago", labels)
    current = container("shop_api.1.pra8le", "running", "Up 1 hour", labels)
    settings = Processes(manager="docker", names=("shop_api",))
    finding = judge(parse_docker([current, former, oldest], [], [], AT), settings)
    assert (finding.status, len(finding.rows)) == (Status.OK, 1)
    found = parse_docker([former, oldest], [], [], AT)
    assert [(each.name, each.is_starting) for each in found] == [("shop_api.1.rk9f49", True)]
    assert judge(found, settings).status is Status.CRIT


def test_names_of_compose() -> None:
    labels = f"{SHOP},com.docker.compose.container-number=1"
    one_off = f"{SHOP},com.docker.compose.oneoff=True"
    found = parse_docker(
        [
            container("shop_app_1", "running", "Up 2 hours", labels),
            container("shop_app_run_1f", "exited", "Exited (1) 2 hours ago", one_off),
            container("old_mailer_2", "running", "Up 2 hours"),
        ],
        [],
        [],
        AT,
    )
    names = ("app", "shop-app", "shop-app-1", "shop_app_1", "old-mailer-2")
    finding = judge(found, Processes(manager="docker", names=names))
    assert (finding.status, finding.value) == (Status.OK, 0)


# As Podman 4.3 prints `podman ps -a --format json` and `podman stats`.
PODMAN = """[
  {"Command": ["node"], "Exited": false, "ExitCode": 0, "Id": "f00", "Image": "app:1",
   "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "app"},
   "Names": ["shop_app_1"], "State": "running", "Status": "Up 2 hours"},
  {"Exited": true, "ExitCode": 0, "Id": "f01", "Labels": null, "Names": ["shop_migrate_1"],
   "State": "exited", "Status": "Exited (0) 2 hours ago"}
]"""


def test_podman_in_the_place_of_docker() -> None:
    usage = [{"ContainerID": "f00", "MemUsage": "54.9MB / 1.07GB", "CPU": "0.25%"}]
    app, migrate = parse_docker(docker.json_lines("docker", PODMAN), [], usage, AT)
    assert (app.name, app.is_up, app.memory_bytes) == ("shop_app_1", True, 54_900_000)
    assert "app" in app.aliases
    assert migrate.is_finished
    with pytest.raises(BadAnswer, match="no whole JSON"):
        docker.json_lines("docker", PODMAN[:200])
    with pytest.raises(BadAnswer, match="no whole JSON"):
        docker.json_lines("docker", json.dumps(LISTED[0]) + "\n" + json.dumps(LISTED[1])[:50])


def test_a_docker_whose_daemon_is_gone(manager: Path) -> None:
    said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?"
    with pytest.raises(BadAnswer, match="Cannot connect to the Docker daemon"):
        check(manager, f"echo '{said}' >&2; exit 1", "app", manager="docker")


# ---- systemd ----------------------------------------------------------------------------------

SHOWN = """NRestarts=1
ActiveEnterTimestamp=Mon 2026-11-23 14:00:00 UTC
MemoryCurrent=52428800
LoadState=loaded
ActiveState=active
SubState=running

NRestarts=5
ActiveEnterTimestamp=
MemoryCurrent=[not set]
LoadState=loaded
ActiveState=activating
SubState=auto-restart

NRestarts=0
ActiveEnterTimestamp=
MemoryCurrent=18446744073709551615
LoadState=not-found
ActiveState=inactive
SubState=dead
"""


def test_what_systemctl_prints(manager: Path) -> None:
    names = ("app", "worker.service", "mailer")
    app, worker = parse_systemd(names, SHOWN, AT)
    assert (app.uptime_s, app.memory_bytes, app.restarts) == (1800.0, 52428800, 1)
    assert (worker.is_up, worker.state) == (False, "activating (auto-restart)")
    finding = check(manager, printing(SHOWN), *names, manager="systemd")
    assert (finding.status, finding.value) == (Status.CRIT, 2)
    assert "worker.service is down (activating (auto-restart), 5 restarts)" in finding.message
    assert "mailer is not known to systemd" in finding.message


def unit(**properties: str) -> str:
    """Return a block of `systemctl show` as systemd 252 prints it."""
    known = {
        "Type": "simple", "Result": "success", "NRestarts": "0", "ExecMainStatus": "0",
        "MemoryCurrent": "[not set]", "Id": "job.service", "Names": "job.service",
        "LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead",
        "ActiveEnterTimestamp": "",
    }  # fmt: skip
    return "\n".join(f"{name}={value}" for name, value in (known | properties).items()) + "\n"


RUNNING = {"ActiveState": "active", "SubState": "running"}


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({"Type": "oneshot"}, Status.OK),
        ({"Type": "oneshot", "ActiveState": "active", "SubState": "exited"}, Status.OK),
        ({"Type": "oneshot", "RemainAfterExit": "no"}, Status.OK),
        ({"Type": "oneshot", "RemainAfterExit": "yes"}, Status.CRIT),
        ({"TriggeredBy": "job.timer"}, Status.OK),
        ({"TriggeredBy": "job.socket"}, Status.OK),
        ({"ActiveState": "active", "SubState": "waiting", "Id": "job.timer"}, Status.OK),
        (RUNNING, Status.OK),
        ({}, Status.CRIT),  # stopped by hand
        ({"ActiveState": "activating", "SubState": "auto-restart"}, Status.CRIT),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "1"}, Status.CRIT),
        (
            {
                "Type": "oneshot",
                "ActiveState": "failed",
                "SubState": "failed",
                "Result": "exit-code",
            },
            Status.WARN,
        ),
    ],
)
def test_units_that_do_not_run(properties: dict[str, str], status: Status) -> None:
    name = properties.get("Id", "job")
    (found,) = parse_systemd([name], unit(**properties), AT)
    assert judge([found], Processes(manager="systemd", names=(name,))).status is status


def test_instances_and_aliases_of_units() -> None:
    text = "\n".join(
        [
            unit(Id="worker@1.service", Names="worker@1.service", **RUNNING),
            unit(Id="worker@2.service", Names="worker@2.service"),
            unit(Id="shop.service", Names="shop.service api.service", **RUNNING),
        ]
    )
    names = ("worker@*", "api", "shop.service")
    found = parse_systemd(names, text, AT)
    finding = judge(found, Processes(manager="systemd", names=names))
    assert (finding.status, finding.value) == (Status.WARN, 1)
    assert finding.message.startswith("1 of 2 instances of worker@* is down (inactive (dead))")
    with pytest.raises(BadAnswer, match="did not list"):
        parse_systemd(("api", "gone"), text, AT)


def test_units_of_a_user(manager: Path) -> None:
    manager.write_text(
        '#!/bin/sh\n[ "$1 $2 $XDG_RUNTIME_DIR" = "--user show /run/user/7" ] || exit 7\n'
        + printing(unit(**RUNNING))
    )
    manager.chmod(0o755)
    env = {"XDG_RUNTIME_DIR": "/run/user/7"}
    settings = Processes(manager="systemd", names=("job",), command=f"{manager} --user", env=env)
    assert processes.up(Target(name="t", processes=settings)).status is Status.OK


def test_systemd_without_units_named(manager: Path) -> None:
    with pytest.raises(NotConfigured, match="set names"):
        check(manager, "exit 1", manager="systemd")


def test_a_machine_without_systemd(manager: Path) -> None:
    with pytest.raises(BadAnswer, match="did not list"):
        check(manager, "echo", "app", manager="systemd")
