"""Systemd timers for the schedules: the same commands and times as in the crontab.

A timer catches up after the machine was off. The stderr of a run is in the journal.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opsnb.config.file import Config
from opsnb.config.places import at_home
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError, ExitCode
from opsnb.schedule.jobs import Job
from opsnb.schedule.surroundings import command, config_path, jobs, variables_of
from opsnb.timetable.times import checked, in_words, zone
from opsnb.timetable.traces import owner

_LIMIT_S = 30
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True)
class Unit:
    """A unit file of systemd."""

    name: str
    text: str


def units(config: Config, environment: Path | None) -> list[Unit]:
    """Return a service and a timer for each schedule.

    Raises UsageError when a schedule cannot be run, or would lack a variable.
    """
    files = []
    for job in jobs(config, environment, "systemd"):
        name = f"{_prefix(config)}{job.schedule.name}"
        files += [
            Unit(f"{name}.service", _service(job, config, environment)),
            Unit(f"{name}.timer", _timer(job.schedule, config)),
        ]
    return files


def install(config: Config, environment: Path | None) -> list[Path]:
    """Write the units, start the timers, and remove those of schedules that are gone.

    Return the files that were written.
    """
    new = units(config, environment)
    folder = _folder()
    _systemctl("daemon-reload")  # if it fails, nothing was written yet
    gone = [path for path in _ours(config) if path.name not in {unit.name for unit in new}]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for unit in new:
            (folder / unit.name).write_text(unit.text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The units cannot be written to {folder}: {error.strerror}. Make it writable."
        ) from error
    _remove(gone)
    _systemctl("daemon-reload")
    _systemctl("enable", "--now", *_timers(unit.name for unit in new))
    return [folder / unit.name for unit in new]


def remove(config: Config) -> bool:
    """Stop the timers and remove their units; return whether there were any."""
    installed = _ours(config)
    _remove(installed)
    if installed:
        _systemctl("daemon-reload")
    return bool(installed)


def _remove(paths: Iterable[Path]) -> None:
    paths = list(paths)
    timers = _timers(path.name for path in paths)
    if timers:
        _systemctl("disable", "--now", *timers)
    for path in paths:
        path.unlink(missing_ok=True)


def _timers(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(".timer")]


def _prefix(config: Config) -> str:
    return f"opsnb-{owner(config)}-"


def _ours(config: Config) -> list[Path]:
    paths = _folder().glob(f"{_prefix(config)}*")
    return sorted(path for path in paths if path.suffix in (".service", ".timer"))


def _folder() -> Path:
    """Return the folder of this user's units; root's are those of the machine."""
    if os.geteuid() == 0:
        return Path("/etc/systemd/system")
    return at_home(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "systemd" / "user"


def _systemctl(*words: str) -> None:
    command = ["systemctl", *([] if os.geteuid() == 0 else ["--user"]), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    else:
        if not done.returncode:
            return
        why = " ".join(done.stderr.split())
    raise ConfigError(
        f"{' '.join(command[:3])} failed: {why.rstrip('.')}. Check that systemd runs here, "
        "or use cron: opsnb schedule crontab --install"
    )


def _service(job: Job, config: Config, environment: Path | None) -> str:
    path = config_path(config)
    given = variables_of(config, job.targets)
    return "\n".join(
        [
            _origin(path),
            "[Unit]",
            f"Description=opsnb schedule {job.schedule.name}: {job.runbook.id}",
            "",
            "[Service]",
            "Type=oneshot",
            f"WorkingDirectory={_specifiers(str(path.parent))}",
            *(f"Environment={_quoted(f'{name}={value}')}" for name, value in given.items()),
            "ExecStart=" + " ".join(map(_argument, command(job.schedule, environment))),
            "# A warning (1) and a run skipped while the last one is running (75) are no failures.",
            f"SuccessExitStatus={ExitCode.WARN:d} {ExitCode.LOCKED:d}",
            "",
        ]
    )


def _timer(schedule: Schedule, config: Config) -> str:
    return "\n".join(
        [
            _origin(config_path(config)),
            "[Unit]",
            f"Description=opsnb schedule {schedule.name}: {in_words(schedule)}",
            "",
            "[Timer]",
            *(f"OnCalendar={time}" for time in calendar(schedule)),
            "AccuracySec=1s",
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _origin(path: Path) -> str:
    return f"# Made from {path}; change that file, then: opsnb schedule systemd --install"


def calendar(schedule: Schedule) -> list[str]:
    """Return the times of `schedule` for systemd; two lines where cron matches either day."""
    parts = checked(schedule)
    at = f"{_list(parts.hours, 24)}:{_list(parts.minutes, 60)}:00{_zone()}"
    weekdays = sorted({int(day) % 7 for day in parts.weekdays if isinstance(day, int)})
    of_week = ",".join(_DAYS[day] for day in weekdays) + " " if len(weekdays) < 7 else ""
    months = "*" if len(parts.months) == 12 else _list(parts.months, 12)
    days = "*" if len(parts.days) == 31 else _list(parts.days, 31)
    if parts.day_and or not of_week or days == "*":
        return [f"{of_week}*-{months}-{days} {at}"]
    return [f"*-{months}-{days} {at}", f"{of_week}*-{months}-* {at}"]


def _list(values: Iterable[int], whole: int) -> str:
    ordered = sorted(values)
    return "*" if len(ordered) == whole else ",".join(f"{value:02}" for value in ordered)


def _zone() -> str:
    """Return the zone of `TZ`; without it, systemd and opsnb both use the machine's."""
    return f" {zone()}" if os.environ.get("TZ") and hasattr(zone(), "key") else ""


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    escaped = _specifiers(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _argument(word: str) -> str:
    return _quoted(word.replace("$", "$$"))
