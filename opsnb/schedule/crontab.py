"""The crontab of the schedules: one marked block for each opsnb.toml, the rest is not touched."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Container, Iterable
from pathlib import Path

from opsnb.errors import ConfigError
from opsnb.schedule.running import job, read_environment
from opsnb.target import LOCAL, Config, variables
from opsnb.timetable.times import in_words
from opsnb.unattended import Schedule

# What moves opsnb's own files: cron is to find them where whoever installs the block has them.
_OWN = ("OPSNB_RECORDS", "OPSNB_DEMO_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
# What moves the files of those that opsnb asks, and how it reads the clock; none of it is secret.
_ASKED = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "TZ"),
    *("PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"),
)
# How the programs of a process manager find what they ask, on this machine.
_MANAGERS = {
    "pm2": ("PM2_HOME",),
    "docker": ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"),
    "systemd": ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
}
# These are no places on a disk.
_WORDS = ("TZ", "DOCKER_CONTEXT", "DBUS_SESSION_BUS_ADDRESS")
_AS_IS = ("utf-8", "surrogateescape")
_LONGEST = 990  # Debian's cron cuts a command of 1,000 characters


def block(config: Config, environment: Path | None) -> str:
    """Return the lines for cron. `environment` is a file with the variables of opsnb.toml.

    Raises UsageError with one sentence when a schedule cannot be run, or would lack a variable.
    """
    path = _path(config)
    if not config.schedules:
        raise ConfigError(f"{path} has no schedules; write a [[schedules]] table.")
    jobs = [job(schedule, config) for schedule in config.schedules]
    _demand_variables(path, environment, {name for each in jobs for name in each.targets})
    lines = [_begin(path)]
    for each in jobs:
        needs = _needs(config, each.targets)
        lines += [
            f"# {each.schedule.name}: {in_words(each.schedule)}",
            _line(each.schedule, path, environment, needs),
        ]
    return "\n".join([*lines, _end(path), ""])


def install(config: Config, environment: Path | None) -> str:
    """Put the block into the user's crontab in place of a former one; return it."""
    made = block(config, environment)
    before, after = _without_block(_read(), _path(config))
    _write(f"{before}{made}{after}")
    return made


def remove(config: Config) -> bool:
    """Take the block out of the user's crontab; return whether there was one."""
    text = _read()
    before, after = _without_block(text, _path(config))
    if f"{before}{after}" == text:
        return False
    _write(f"{before}{after}")
    return True


def _path(config: Config) -> Path:
    if config.path is None:
        raise ConfigError("There is no opsnb.toml here, so there are no schedules; write one.")
    return config.path


def _begin(path: Path) -> str:
    return f"# BEGIN opsnb {path} (change that file, then: opsnb schedule crontab --install)"


def _end(path: Path) -> str:
    return f"# END opsnb {path}"


def _needs(config: Config, targets: Iterable[str]) -> list[str]:
    """Return the variables that a run on these targets needs, besides those of opsnb.toml."""
    tables = [config.tables[name] for name in targets]
    managers = {
        str(table.get("processes", {}).get("manager", "pm2"))
        for table in tables
        if table.get("host", LOCAL) == LOCAL
    }
    found = [*_OWN, *_ASKED]
    for manager in sorted(managers):
        found += _MANAGERS.get(manager, ())
    return [name for name in found if os.environ.get(name)]


def _line(schedule: Schedule, path: Path, environment: Path | None, needs: Iterable[str]) -> str:
    # Cron gives a command next to nothing, so it brings its own.
    given = {"PATH": _search_path(), "OPSNB_CONFIG": str(path)}
    given |= {
        name: os.environ[name] if name in _WORDS else _absolute(os.environ[name]) for name in needs
    }
    words = [*(f"{name}={value}" for name, value in given.items())]
    words += [sys.executable, "-P", "-m", "opsnb", "schedule", "run", schedule.name]
    if environment:
        words += ["--environment", str(environment.resolve())]
    command = f"cd {shlex.quote(str(path.parent))} && env {shlex.join(words)}"
    due = " ".join(schedule.cron.split())  # a line break in it would end the line
    line = f"{due} {command}".replace("%", r"\%")  # which is a new line to cron
    if len(line) > _LONGEST:
        raise ConfigError(
            f"The line of schedule {schedule.name} has {len(line)} characters, and cron takes "
            f"{_LONGEST}. Install it with a shorter PATH, such as /usr/local/bin:/usr/bin:/bin."
        )
    return line


def _absolute(place: str) -> str:
    """Return a folder as seen from here, for cron starts elsewhere; a URL stays as it is."""
    return place if "://" in place or not place else str(Path(place).expanduser().absolute())


def _search_path() -> str:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(each for each in folders if Path(each).is_dir()))


def _demand_variables(path: Path, environment: Path | None, targets: Container[str]) -> None:
    given = read_environment(environment) if environment else {}
    missing = [name for name in variables(path, targets) if name not in given]
    if missing:
        where = f"add them to {environment}" if environment else "name a file: --environment FILE"
        raise ConfigError(
            f"{path} uses {', '.join(missing)}, which cron does not have; write NAME=value lines "
            f"into a file that only you may read, and {where}."
        )


def _without_block(text: str, path: Path) -> tuple[str, str]:
    """Return what stands before and behind the block of `path`."""
    if text and not text.endswith("\n"):
        text += "\n"
    start = text.find(f"# BEGIN opsnb {path} ")
    if start < 0:
        return text, ""
    end = text.find(_end(path), start)
    if end < 0:
        raise ConfigError(
            f"The crontab has '# BEGIN opsnb {path}' without its end; correct it with: crontab -e"
        )
    return text[:start], text[end + len(_end(path)) + 1 :]


def _read() -> str:
    told = _crontab("-l")
    if told.returncode and "no crontab" not in told.stderr:
        raise ConfigError(f"crontab -l failed: {told.stderr.strip()}. Mend that first.")
    return "" if told.returncode else told.stdout


def _write(text: str) -> None:
    told = _crontab("-", text)
    if told.returncode:
        raise ConfigError(f"crontab did not take the new lines: {' '.join(told.stderr.split())}.")


def _crontab(argument: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        # As bytes: what is not ours may have any encoding and any ends of lines.
        told = subprocess.run(
            ["crontab", argument], input=text.encode(*_AS_IS), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise ConfigError(
            "There is no crontab command here; install cron, or give the lines of "
            "`opsnb schedule crontab` to whatever runs things by the clock."
        ) from None
    stdout, stderr = (stream.decode(*_AS_IS) for stream in (told.stdout, told.stderr))
    return subprocess.CompletedProcess(told.args, told.returncode, stdout, stderr)
