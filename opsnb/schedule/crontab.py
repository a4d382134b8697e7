"""The crontab of the schedules: one marked block for each opsnb.toml, the rest is not touched."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from opsnb.config.file import Config
from opsnb.errors import ConfigError
from opsnb.schedule.jobs import Job
from opsnb.schedule.surroundings import command, config_path, jobs, variables_of
from opsnb.timetable.times import in_words, local_now
from opsnb.timetable.traces import first_seen

_AS_IS = ("utf-8", "surrogateescape")
_LONGEST = 990  # Debian's cron cuts a command of 1,000 characters


def block(config: Config, environment: Path | None) -> str:
    """Return the lines for cron. `environment` is a file with the variables of opsnb.toml.

    Raises UsageError with one sentence when a schedule cannot be run, or would lack a variable.
    """
    path = config_path(config)
    lines = [_begin(path)]
    for each in jobs(config, environment, "cron"):
        lines += [
            f"# {each.schedule.name}: {in_words(each.schedule)}",
            _line(each, path, config, environment),
        ]
    return "\n".join([*lines, _end(path), ""])


def install(config: Config, environment: Path | None) -> str:
    """Put the block into the user's crontab in place of a former one; return it."""
    made = block(config, environment)
    for schedule in config.schedules:
        first_seen(schedule, config, local_now())  # from now on it may be late
    before, after = _without_block(_read(), config_path(config))
    _write(f"{before}{made}{after}")
    return made


def remove(config: Config) -> bool:
    """Take the block out of the user's crontab; return whether there was one."""
    text = _read()
    before, after = _without_block(text, config_path(config))
    if f"{before}{after}" == text:
        return False
    _write(f"{before}{after}")
    return True


def _begin(path: Path) -> str:
    return f"# BEGIN opsnb {path} (change that file, then: opsnb schedule crontab --install)"


def _end(path: Path) -> str:
    return f"# END opsnb {path}"


def _line(each: Job, path: Path, config: Config, environment: Path | None) -> str:
    # Cron gives a command next to nothing, so it brings its own.
    given = variables_of(config, each.targets)
    words = [*(f"{name}={value}" for name, value in given.items())]
    words += command(each.schedule, environment)
    words_of_shell = f"cd {shlex.quote(str(path.parent))} && env {shlex.join(words)}"
    due = " ".join(each.schedule.cron.split())  # a line break in it would end the line
    line = f"{due} {words_of_shell}".replace("%", r"\%")  # which is a new line to cron
    if len(line) > _LONGEST:
        raise ConfigError(
            f"The line of schedule {each.schedule.name} has {len(line)} characters, and cron takes "
            f"{_LONGEST}. Install it with a shorter PATH, such as /usr/local/bin:/usr/bin:/bin."
        )
    return line


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
        raise ConfigError(f"crontab -l failed: {told.stderr.strip()}. Fix that first.")
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
