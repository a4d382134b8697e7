"""Processes, as pm2 lists them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from opsnb.checks import evidence
from opsnb.errors import BadAnswer, Misconfigured
from opsnb.systems.host import Host, ProgramFailed
from opsnb.systems.processes import pm2_daemon
from opsnb.systems.processes.process import (
    SYSTEM,
    DaemonGone,
    Process,
    cut_off,
    environment,
    flag,
    no_list,
    program,
    whole,
)
from opsnb.systems.processes.settings import Processes
from opsnb.view.formats import MIB

_DAEMON_S = 2.0
# In one go, for each is a login over ssh: the home of pm2, and whether its daemon runs.
_PROBE = (
    'h=${PM2_HOME:-$HOME/.pm2}; f=$h/pm2.pid; printf "%s\\n" "$h"; '
    'command -v "$1" >/dev/null 2>&1 || { echo missing; exit 0; }; '
    '[ -d "$h" ] || { echo nowhere; exit 0; }; '
    'if [ -e "$f" ] && [ ! -r "$f" ]; then echo unreadable; exit 0; fi; '
    'p=$(head -c 20 "$f" 2>/dev/null); '
    'case $p in ""|*[!0-9]*) echo gone; exit 0;; esac; '
    'if kill -0 "$p" 2>/dev/null || [ -d "/proc/$p" ]; then echo runs; else echo gone; fi'
)
# Where no daemon answers, pm2 starts one. With this, Node only checks the daemon's source.
_NO_START = {"PM2_NODE_OPTIONS": "--check"}
_DAEMON = re.compile(r"PM2 v\S+: God Daemon \((?P<home>.+?)\)")


def processes(host: Host, settings: Processes, at: datetime, limit_s: float) -> list[Process]:
    """Return the processes of `pm2 jlist`. Raises DaemonGone, BadAnswer."""
    argv, env = program(settings), environment(host, settings)
    if host.is_local and (home := _home(argv, env)):
        entries = pm2_daemon.processes(Path(host.expand(home)), _DAEMON_S)
        if entries is not None:
            return _processes(json.dumps(entries), entries, at)
    if "PM2_HOME" in env or not settings.command:
        _demand_daemon(host, argv[0], env)
    try:
        text = host.run([*argv, "jlist"], limit_s, {**env, **_NO_START})
    except ProgramFailed as error:
        if "daemon" in error.said:
            raise DaemonGone(f"{error.said}.") from error
        raise
    if "Spawning PM2 daemon" in text:
        raise DaemonGone(f"pm2's daemon was not running on {host.name}.")
    return parse_pm2(text, at)


def _home(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the home of the daemon that `argv` would ask; empty where it may be another's."""
    if len(argv) > 1 or not (argv == ["pm2"] or "PM2_HOME" in env):
        return ""  # such as sudo, or a program that sets a home itself
    return env.get("PM2_HOME") or os.environ.get("PM2_HOME") or "~/.pm2"


def _demand_daemon(host: Host, program: str, env: dict[str, str]) -> None:
    """Raise DaemonGone when no daemon runs: any command of pm2 would start one."""
    home, _, state = host.run(["sh", "-c", _PROBE, "sh", program], env=env).strip().rpartition("\n")
    if state in ("runs", "missing"):
        return
    if state == "unreadable":
        raise BadAnswer(SYSTEM, f"{home}/pm2.pid on {host.name} cannot be read by this user.")
    given = "PM2_HOME" in env or (host.is_local and "PM2_HOME" in os.environ)
    others = [] if given else sorted(set(_daemons(host)) - {home})
    if state == "gone" and not others:
        raise DaemonGone(f"pm2's daemon is not running on {host.name} as this user.")
    words = [f"pm2 runs nothing on {host.name} for this user, whose home of pm2 would be {home}"]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        words.append(f"a daemon of pm2 runs with PM2_HOME={others[0]}{more}")
    raise Misconfigured(
        SYSTEM,
        f"{'; '.join(words)}. Set PM2_HOME in the env of the target's processes, or log in as the "
        "user who runs pm2.",
    )


def _daemons(host: Host) -> list[str]:
    """Return the homes of all pm2 daemons that run there, of any user."""
    if host.is_local:
        titles = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    else:
        try:
            titles = host.run(["ps", "-eo", "args="]).splitlines()
        except BadAnswer:
            return []
    return [match["home"] for title in titles if (match := _DAEMON.search(title))]


_LIST_START = re.compile(r"\[\s*(?:\{\s*\"|(?P<empty>\]))")


def parse_pm2(text: str, at: datetime) -> list[Process]:
    """Return what `pm2 jlist` prints, whatever it prints before and after it. Raises BadAnswer."""
    decoder, is_cut = json.JSONDecoder(), False
    for match in _LIST_START.finditer(text):
        alone = match.start() == 0 or text[match.start() - 1] == "\n"
        if match["empty"] and (is_cut or not alone):
            continue  # a list inside of one that has no end, or of a banner
        try:
            entries, _ = decoder.raw_decode(text, match.start())
        except ValueError:
            is_cut = True
            continue
        if all(isinstance(entry, dict) and "pm2_env" in entry for entry in entries):
            return _processes(text, entries, at)
    raise cut_off("pm2", text) if is_cut else no_list("pm2", text)


def _processes(text: str, entries: list[dict[str, Any]], at: datetime) -> list[Process]:
    try:
        return [_process(entry, at) for entry in entries if not _is_module(entry)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise no_list("pm2", text) from error


def _is_module(entry: dict[str, Any]) -> bool:
    """Return whether it is a part of pm2 itself, such as pm2-logrotate."""
    env = entry["pm2_env"]
    options = env.get("axm_options") or {}
    return flag(env.get("pmx_module")) or flag(options.get("isModule"))


def _process(entry: dict[str, Any], at: datetime) -> Process:
    env, monit = entry["pm2_env"], entry.get("monit") or {}
    state = str(env["status"])
    is_up = state == "online"
    started_ms = env.get("pm_uptime")
    is_finished = _is_finished(entry["name"], env)
    due = env.get("cron_restart") or ""
    is_once = _is_off(env.get("autorestart"))
    code = whole(env.get("exit_code"))
    ended = state in ("stopped", "errored") and code is not None and is_once
    return Process(
        name=entry["name"],
        state=f"{state}, exit code {code}" if ended and code else state,
        is_up=is_up,
        restarts=env.get("restart_time"),
        failures=env.get("unstable_restarts") or 0,
        uptime_s=max(0.0, at.timestamp() - started_ms / 1000) if is_up and started_ms else None,
        started=str(started_ms or ""),
        memory_bytes=monit.get("memory"),
        cpu_percent=monit.get("cpu"),
        pid=entry.get("pid") or None,
        handle=str(entry.get("pm_id", "")),
        heap_bytes=_heap_bytes(env.get("axm_monitor") or {}),
        heap_limit_bytes=_heap_limit(env.get("node_args") or []),
        is_finished=is_finished,
        is_job=bool(due) and is_once and not is_up,
        is_starting=state in ("launching", "one-launch-status"),
        says=_says(code, due) if is_finished or (due and is_once and not is_up) else "",
    )


def _is_finished(name: str, env: dict[str, Any]) -> bool:
    """Return whether it ended as it should and pm2 does not start it again."""
    if env["status"] != "stopped":
        return False
    code = whole(env.get("exit_code"))
    if code is not None and code in (env.get("stop_exit_codes") or ()):
        return True
    if not _is_off(env.get("autorestart")):
        return False
    if code is None:
        evidence.partial(f"how {name} ended, for this pm2 does not say")
        return True
    return code == 0


def _is_off(setting: object) -> bool:
    return setting is not None and not flag(setting)


def _says(code: int | None, due: str) -> str:
    ended = "has ended" if code is None else f"ended with exit code {code}"
    return f"{ended} and waits for its time ({due})" if due else ended


def _heap_bytes(metrics: dict[str, Any]) -> int | None:
    """Return what pm2 shows as "Used Heap Size", in MiB."""
    try:
        return int(float(metrics["Used Heap Size"]["value"]) * MIB)
    except (KeyError, TypeError, ValueError):
        return None


def _heap_limit(options: Sequence[str]) -> int | None:
    """Return the limit among Node's own options, which is given in MiB."""
    match = re.search(r"--max[-_]old[-_]space[-_]size[= ](\d+)", " ".join(options))
    return int(match[1]) * MIB if match else None
