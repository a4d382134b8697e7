"""The command and the environment of a run that cron or systemd starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterable
from pathlib import Path

from opsnb.config.file import Config, variables
from opsnb.config.systems import tables
from opsnb.config.target import unfolded
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError
from opsnb.notify import dispatch
from opsnb.schedule.environment import read_environment
from opsnb.schedule.jobs import Job, job

# Where opsnb's own files are: the same for cron as for the user who installs the lines.
_OWN = ("OPSNB_RECORDS", "OPSNB_DEMO_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
# Settings of HTTP clients, and the time zone.
_CLIENTS = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "TZ"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
# What names of paths end with; relative paths are relative to the working folder.
_PLACES = ("_HOME", "_RECORDS", "_CONFIG", "_DIR", "FILE", "CERT", "KEY")


def config_path(config: Config) -> Path:
    """Return the `opsnb.toml` that has the schedules. Raises ConfigError when there is none."""
    if config.path is None:
        raise ConfigError(
            "There is no opsnb.toml here, so there are no schedules. "
            "Create one with: opsnb init DIR"
        )
    return config.path


def jobs(config: Config, environment: Path | None, starter: str) -> list[Job]:
    """Return every schedule as a job; `environment` is a file with the variables of opsnb.toml.

    Raises UsageError when one cannot be run, or would lack a variable when `starter` (cron,
    systemd) starts it.
    """
    path = config_path(config)
    if not config.schedules:
        raise ConfigError(f"{path} has no schedules. Add a [[schedules]] table.")
    dispatch.check_addresses(config)
    checked = [job(schedule, config) for schedule in config.schedules]
    targets = {name for each_job in checked for name in each_job.targets}
    _demand_variables(path, environment, targets, starter)
    return checked


def command(schedule: Schedule, environment: Path | None) -> list[str]:
    """Return the command that runs `schedule`."""
    words = [sys.executable, "-P", "-m", "opsnb", "schedule", "run", schedule.name]
    return [*words, *(["--environment", str(environment.resolve())] if environment else [])]


def variables_of(config: Config, targets: Iterable[str]) -> dict[str, str]:
    """Return the environment for a run on `targets`, except the variables of opsnb.toml."""
    given = {"PATH": _search_path(), "OPSNB_CONFIG": str(config_path(config))}
    for name in _needs(config, targets):
        value = os.environ[name]
        if name.lower().endswith("_proxy") and "@" in value:
            continue  # a password belongs in the file of variables, not in a crontab
        given[name] = _absolute(value) if name.endswith(_PLACES) else value
    return given


def _needs(config: Config, targets: Iterable[str]) -> list[str]:
    written = [unfolded(config.tables[name]) for name in targets]
    names = [*_OWN, *_CLIENTS]
    for settings in tables().values():
        names += [name for table in written for name in settings.client_variables(table)]
    return [name for name in dict.fromkeys(names) if os.environ.get(name)]


def _absolute(place: str) -> str:
    """Return an absolute path, as cron starts in another folder; URLs are unchanged."""
    return place if "://" in place or not place else str(Path(place).expanduser().absolute())


def _search_path() -> str:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(folder for folder in folders if Path(folder).is_dir()))


def _demand_variables(
    path: Path, environment: Path | None, targets: Container[str], starter: str
) -> None:
    given = read_environment(environment) if environment else {}
    missing = [name for name in variables(path, targets) if name not in given]
    if missing:
        where = f"add them to {environment}" if environment else "pass it: --environment FILE"
        raise ConfigError(
            f"{path} uses {', '.join(missing)}, which {starter} does not have. Write NAME=value "
            f"lines into a file that only you may read, and {where}."
        )
