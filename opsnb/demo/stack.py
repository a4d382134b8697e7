"""The demo stack as a whole: `up`, `down`, `status`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from opsnb.demo import faults, parts, processes, restart, service
from opsnb.demo.home import QUEUES, Home, Say, Settings, write_private
from opsnb.demo.integrity import INTEGRITY
from opsnb.demo.parts import Parts
from opsnb.demo.postgres import Postgres, postgres_program
from opsnb.demo.valkey import Valkey
from opsnb.errors import DemoError
from opsnb.machine.holder import Holder

State = Literal["up", "hung", "down"]


@dataclass(frozen=True)
class PartStatus:
    """One part of the stack."""

    name: str
    state: State
    pids: tuple[int, ...]
    url: str
    """Where it listens, without a password; empty when it listens nowhere."""
    port: int | None
    log: str


@dataclass(frozen=True)
class StackStatus:
    """The demo stack at this moment."""

    state: Literal["up", "degraded", "down"]
    parts: tuple[PartStatus, ...]
    faults: tuple[str, ...]
    """The faults that are active."""
    urls: dict[str, str]
    folders: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return this as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def up(say: Say) -> StackStatus:
    """Bring the stack up, or restart the parts that are down.

    Only `faults.clear` takes back an active fault. Raises DemoError when a part does not come up;
    then nothing runs. Raises Locked when it runs in another container.
    """
    home = Home.current()
    with home.locked(say):
        try:
            changed = _bring_up(home, say)
        except BaseException:
            _end(home)
            home.config.unlink(missing_ok=True)
            raise
        now = status()
        if not changed:
            say("The demo stack is already up.")
        for fault in now.faults:
            say(f"The fault '{fault}' is active. Clear it: opsnb demo fault {fault} --clear")
        return now


def down(say: Say) -> None:
    """End every process of the stack and remove its folder. Raises DemoError when one stays."""
    home = Home.current()
    with home.locked(say):
        found = _processes(home)
        if found or home.root.exists():
            say("Stopping the demo stack.")
        _end(home)
        if left := _processes(home):
            raise DemoError(
                f"Processes of the demo stack did not end: {', '.join(str(p.pid) for p in left)}. "
                "End them and try again."
            )
        home.unmount()
        _remove(home.root)
        say("The demo stack is down.")


def set_traffic(on: bool) -> None:
    """Simulate users of the service, or none, so that nothing changes by itself."""
    quiet = Home.current().quiet
    if on:
        quiet.unlink(missing_ok=True)
    else:
        quiet.touch()


def status() -> StackStatus:
    """Return what runs and whether it responds. Takes a few seconds when something hangs.

    Raises Locked when the stack runs in another container.
    """
    home = Home.current()
    home.demand_here()
    settings = Settings.load(home)
    folders = {"home": str(home.root), "logs": str(home.logs)}
    if settings is None:
        return StackStatus("down", (), (), {}, folders)
    postgres, valkey = Postgres(home, settings), Valkey(home, settings)
    app_log = home.logs / "app.log"
    looks: tuple[Callable[[], PartStatus], ...] = (
        lambda: _look(
            postgres.name, postgres.processes(), postgres.answers, postgres.port, postgres.log
        ),
        lambda: _look(valkey.name, valkey.processes(), valkey.answers, valkey.port, valkey.log),
        lambda: _look(
            service.PM2, service.running(home, service.PM2), None, None, home.pm2 / "pm2.log"
        ),
        lambda: _look(
            service.API,
            service.running(home, service.API),
            lambda: service.answers(settings),
            settings.api_port,
            app_log,
        ),
        lambda: _look(service.WORKER, service.running(home, service.WORKER), None, None, app_log),
    )
    with ThreadPoolExecutor(len(looks)) as pool:
        found = tuple(pool.map(lambda look: look(), looks))
    states = {part.state for part in found}
    whole: Literal["up", "degraded", "down"] = "degraded"
    if states == {"up"}:
        whole = "up"
    elif states == {"down"}:
        whole = "down"
    urls = {"api": settings.api_url, "dashboard": settings.dashboard_url}
    folders["config"] = str(home.config)
    return StackStatus(whole, found, tuple(faults.active()), urls, folders)


_SCHEMES = {Postgres.name: "postgresql", Valkey.name: "redis", service.API: "http"}


def _look(
    name: str,
    found: list[psutil.Process],
    answers: Callable[[], bool] | None,
    port: int | None,
    log: Path,
) -> PartStatus:
    state: State = "up"
    if not found:
        state = "down"
    elif any(map(processes.is_stopped, found)) or not (answers is None or answers()):
        state = "hung"
    url = f"{_SCHEMES[name]}://127.0.0.1:{port}" if port else ""
    return PartStatus(name, state, tuple(p.pid for p in found), url, port, str(log))


def _bring_up(home: Home, say: Say) -> bool:
    """Start what is down and restart what hangs; return whether that was needed."""
    home.create()
    settings = Settings.load(home)
    fresh = settings is None
    if settings is None:
        settings = Settings()
    stack = parts.assemble(home, settings, say)
    settings.save(home)
    write_private(home.holder, Holder.of(os.getpid()).model_dump_json())
    away = faults.held(home)
    before = asdict(settings)

    shut = away - faults.hanging(home)
    restarted = [
        _mend_server(server, server.name in shut, server.name in away, say)
        for server in (stack.valkey, stack.postgres)
    ]
    schema = home.service / "schema"
    if not schema.exists() and stack.postgres.name not in away:
        stack.postgres.make_database()
        stack.service.push_schema()
        schema.touch()
    moved = asdict(settings) != before
    served = _mend_service(stack, away, moved, say)
    faults.hang_again(stack)
    parts.settle(stack, away)
    _describe_target(stack)
    return fresh or served or any(restarted)


def _mend_server(server: Postgres | Valkey, shut: bool, held: bool, say: Say) -> bool:
    running = bool(server.processes())
    if shut or (held and running) or (running and server.answers()):
        return False
    say(f"Starting {server.title}.")
    server.start()
    return True


def _mend_service(stack: Parts, away: set[str], moved: bool, say: Say) -> bool:
    names = (service.API, service.WORKER)
    if stack.service.is_unusable():
        service.stop(stack.home)
    daemon = service.running(stack.home, service.PM2)
    ill = [
        name
        for name in names
        if (moved or not daemon or not _is_well(stack, name)) and (name not in away or not daemon)
    ]
    if not ill:
        return False
    say(f"Starting the service: {', '.join(ill)}.")
    stack.service.start(ill)
    for name in away.intersection(ill):
        stack.service.halt(name)
    return True


def _is_well(stack: Parts, name: str) -> bool:
    running = service.running(stack.home, name)
    if len(running) != 1 or any(map(processes.is_stopped, running)):
        return False
    return name != service.API or service.answers(stack.settings)


def _servers(home: Home) -> tuple[Postgres, Valkey]:
    """Return the servers of a stack whose ports and passwords need not be known."""
    unknown = Settings(0, 0, 0, "", "")
    return Postgres(home, unknown), Valkey(home, unknown)


def _processes(home: Home) -> list[psutil.Process]:
    found = service.all_running(home)
    return [*found, *(process for server in _servers(home) for process in server.processes())]


def _end(home: Home) -> None:
    service.stop(home)
    for server in _servers(home):
        server.stop()


def _remove(folder: Path) -> None:
    # What ended a moment ago may have written its last file meanwhile.
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(processes.PAUSE_S)
    raise DemoError(f"The demo stack's folder {folder} could not be removed; remove it by hand.")


def _restart(home: Home, name: str) -> list[str]:
    place = f"OPSNB_DEMO_HOME={home.root}"
    return ["env", place, sys.executable, "-m", restart.__name__, name]


def _describe_target(stack: Parts) -> None:
    """Write the target `demo` the way any user would describe a system of their own."""
    home, settings = stack.home, stack.settings

    def table(values: dict[str, object]) -> str:
        # JSON's strings and arrays of strings are TOML's as well.
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

    target = table(
        {
            "api_url": settings.api_url,
            "redis_url": settings.redis_url,
            "database_url": settings.database_url,
            "pg_bin": str(postgres_program("pg_dump").parent),
            "dashboard_url": settings.dashboard_url,
            "host": "local",
            "queues": QUEUES,
            "logs": [str(stack.service.log)],
            "access_logs": [str(stack.service.access_log)],
        }
    )
    manager = table(
        {
            "manager": "pm2",
            "names": [service.API, service.WORKER],
            "command": str(home.pm2_command),
            "env.PM2_HOME": str(home.pm2),
        }
    )
    deploy = table(stack.service.deploy())
    servers = table({name: _restart(home, name) for name in restart.SERVERS})
    checks = "".join(f"\n[[targets.demo.integrity]]\n{table(check)}" for check in INTEGRITY)
    text = (
        f"[targets.demo]\n{target}\n[targets.demo.processes]\n{manager}"
        f"\n[targets.demo.restart]\n{servers}\n[targets.demo.deploy]\n{deploy}{checks}"
    )
    if not home.config.exists() or home.config.read_text(encoding="utf-8") != text:
        write_private(home.config, text)
