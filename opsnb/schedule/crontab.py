"""The crontab lines of the schedules: one marked block for each opsnb.toml.

Other lines of the crontab are kept byte for byte. python-crontab would rewrite them: it changes
spacing, comments out what it cannot parse, and fails on text that is not UTF-8.
"""

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

    Raises UsageError when a schedule cannot be run, or would lack a variable.
    """
    path = config_path(config)
    lines = [_begin(path)]
    for job in jobs(config, environment, "cron"):
        lines += [
            f"# {job.schedule.name}: {in_words(job.schedule)}",
            _line(job, path, config, environment),
        ]
    return "\n".join([*lines, _end(path), ""])


def install(config: Config, environment: Path | None) -> str:
    """Install the block in the user's crontab, replacing an older one; return it."""
    new = block(config, environment)
    for schedule in config.schedules:
        first_seen(schedule, config, local_now())  # it can be late from now on
    before, after = _without_block(_read(), config_path(config))
    _write(f"{before}{new}{after}")
    return new


def remove(config: Config) -> bool:
    """Remove the block from the user's crontab; return whether there was one."""
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


def _line(job: Job, path: Path, config: Config, environment: Path | None) -> str:
    # Cron's environment is almost empty, so the command sets its own.
    given = variables_of(config, job.targets)
    words = [*(f"{name}={value}" for name, value in given.items())]
    words += command(job.schedule, environment)
    shell_command = f"cd {shlex.quote(str(path.parent))} && env {shlex.join(words)}"
    due = " ".join(job.schedule.cron.split())  # a line break in it would end the line
    line = f"{due} {shell_command}".replace("%", r"\%")  # cron reads % as a line break
    if len(line) > _LONGEST:
        raise ConfigError(
            f"The line of schedule {job.schedule.name} has {len(line)} characters; cron allows "
            f"{_LONGEST}. Install it with a shorter PATH, such as /usr/local/bin:/usr/bin:/bin."
        )
    return line


def _without_block(text: str, path: Path) -> tuple[str, str]:
    """Return the text before and after the block of `path`."""
    if text and not text.endswith("\n"):
        text += "\n"
    start = text.find(f"# BEGIN opsnb {path} ")
    if start < 0:
        return text, ""
    end = text.find(_end(path), start)
    if end < 0:
        raise ConfigError(
            f"The crontab has '# BEGIN opsnb {path}' without its end. Correct it with: crontab -e"
        )
    return text[:start], text[end + len(_end(path)) + 1 :]


def _read() -> str:
    result = _crontab("-l")
    if result.returncode and "no crontab" not in result.stderr:
        raise ConfigError(f"crontab -l failed: {result.stderr.strip()}. Fix that first.")
    return "" if result.returncode else result.stdout


def _write(text: str) -> None:
    result = _crontab("-", text)
    if result.returncode:
        raise ConfigError(f"crontab rejected the new lines: {' '.join(result.stderr.split())}.")


def _crontab(argument: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        # As bytes: other lines may have any encoding and line ends.
        done = subprocess.run(
            ["crontab", argument], input=text.encode(*_AS_IS), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise ConfigError(
            "There is no crontab command here. Install cron, or add the lines of "
            "`opsnb schedule crontab` to your own scheduler."
        ) from None
    stdout, stderr = (stream.decode(*_AS_IS) for stream in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)
