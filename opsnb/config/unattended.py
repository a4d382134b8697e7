"""The tables of `opsnb.toml` for unattended runs: when they run, and whom they notify.

Addresses (`ping`, `url`) are kept as written, `${NAME}` and all, and filled in when they are used:
a variable that only cron has must not keep anyone at a terminal from running a runbook.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, StrictBool, field_validator, model_validator

from opsnb.config.settings import Identifier, Table
from opsnb.errors import ConfigError, did_you_mean
from opsnb.params import Duration
from opsnb.redaction import url_secrets

Outcome = Literal["warn", "crit", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("warn", "crit", "unknown")


class Schedule(Table):
    """`[[schedules]]`: a runbook that cron runs."""

    name: Identifier = Field(description="What it is called in the log and in `schedule run`.")
    runbook: str = Field(description="The runbook's id.")
    cron: str = Field(description="When, as five fields of cron, such as `15 7 * * *`.")
    targets: tuple[str, ...] = Field(description="Names, globs such as `prod-*`, or `all`.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The runbook's parameters, without the target."
    )
    apply: StrictBool = Field(False, description="True does what the runbook plans.")
    confirm: tuple[str, ...] = Field((), description="The protected targets that may be changed.")
    timeout: float | None = Field(None, gt=0, description="Seconds that a run may take.")
    grace: Duration | None = Field(
        None,
        description="How long after its time a run may start before it is late, such as `15m`. "
        "By default a tenth of the time between two runs, from 1 minute to 1 hour.",
    )
    mail: tuple[Outcome, ...] = Field(
        OUTCOMES,
        description="For which outcomes `schedule run` writes to stderr, which cron mails. "
        "A run that broke counts as `unknown`; `[]` never mails.",
    )
    ping: str = Field(
        "",
        repr=False,
        description="URL of a dead man's switch: it gets `/start`, then nothing more in the path "
        "after ok or warn, `/fail` after anything worse.",
    )

    @field_validator("ping")
    @classmethod
    def _can_be_pinged(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://", "${")):
            raise ValueError("must start with http:// or https://")
        if not url.startswith("${") and url and not _host(url):
            raise ValueError("must name a host, as in https://hc.example.com/ping/ID")
        return url


class Notify(Table):
    """`[[notify]]`: a channel that receives what scheduled runs find."""

    name: Identifier = Field(description="What it is called in `notify test` and in the log.")
    url: str = Field(
        "",
        repr=False,
        description="Where to, as an apprise URL such as `slack://...`, `mailtos://...` or "
        "`json://host/path`.",
    )
    command: tuple[str, ...] = Field(
        (),
        description="In place of `url`: a command as a list of words. It gets the message as "
        "JSON on stdin and as environment variables `OPSNB_*`.",
    )
    status: tuple[Outcome, ...] = Field(
        OUTCOMES, min_length=1, description="The statuses that it gets messages about."
    )
    recovery: StrictBool = Field(
        True, description="Whether it gets a message when everything is ok again."
    )
    targets: tuple[str, ...] = Field(
        ("all",), description="Only of these targets: names, globs, or `all`."
    )
    schedules: tuple[str, ...] = Field(
        (), description="Only of these schedules: names or globs. Empty: of every one."
    )
    runbooks: tuple[str, ...] = Field(
        (), description="Only of these runbooks: ids or globs. Empty: of every one."
    )
    reminder: Duration | None = Field(
        None,
        description="Repeat what has not changed after this time, such as `4h`. Not set: never.",
    )
    manual: StrictBool = Field(
        False, description="True: `opsnb run` at a terminal notifies as well."
    )
    timeout: float = Field(
        10.0, gt=0, le=60, description="How many seconds a run may wait for this channel."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.url) == bool(self.command):
            raise ValueError("needs either url or command")
        return self

    def wants_target(self, name: str) -> bool:
        """Return whether findings of the target `name` are for this channel."""
        return "all" in self.targets or _matches(name, self.targets)

    def wants_run(self, schedule: str, runbook: str) -> bool:
        """Return whether runs of `runbook` by `schedule` are for it; no schedule means by hand."""
        by = _matches(schedule, self.schedules or ("*",)) if schedule else self.manual
        return by and _matches(runbook, self.runbooks or ("*",))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


# --- what is refused when the file is read ---------------------------------------------------


def check_channels(
    channels: Sequence[Notify],
    *,
    targets: Iterable[str],
    schedules: Iterable[str],
    path: Path,
) -> None:
    """Raise ConfigError on the first channel that cannot work, with how to fix it.

    `targets` and `schedules` are the names that its filters may mean.
    """
    known = {"targets": [*targets, "all"], "schedules": [*schedules]}
    for channel in channels:
        where = f"[[notify]] {channel.name} in {path}"
        for key, names in known.items():
            check_filter(getattr(channel, key), names, f"{where}: {key}")
        if channel.command:
            _check_command(channel.command, path.parent, where)
        elif not channel.url.startswith("${"):
            check_scheme(channel.url, where)


def check_filter(patterns: Iterable[str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError on the first of `patterns` that matches none of `names`."""
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            near = did_you_mean(pattern, names) or " Leave it out."
            raise ConfigError(f"{where} has '{pattern}', which matches nothing.{near}")


def program(command: Sequence[str], folder: Path) -> str | None:
    """Return the program of a channel's command: from the PATH, or beside `opsnb.toml`."""
    first = command[0]
    return shutil.which(str(folder / Path(first).expanduser()) if "/" in first else first)


def _check_command(command: Sequence[str], folder: Path, where: str) -> None:
    if "${" not in command[0] and not program(command, folder):
        raise ConfigError(
            f"{where}: command '{command[0]}' was not found or cannot be executed. Install it, "
            "give its full path, or make it executable with chmod +x."
        )


def check_scheme(url: str, where: str) -> None:
    """Raise ConfigError when `url` is no URL at all.

    Whether apprise knows the service is for `opsnb.notify.address`: to import apprise takes long,
    and this runs in every process that reads the file.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or "$" in scheme:
        raise ConfigError(f"{where}: url is not a URL; write one such as json://host/path.")


# --- secrets ---------------------------------------------------------------------------------

# Where the part before the first slash is a host; elsewhere it is often a token.
_WITH_HOST = re.compile(
    r"(json|xml|form|https?|mailto|ntfy|gotify|matrix|mmost|rocket|apprise|mqtt|syslog|rsyslog"
    r"|smtp|hassio|kodi|nctalk|synology|signal|bark|lunasea|emby|webexteams)s?$"
)
_SHORTEST_TOKEN = 8
_LIKE_A_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w:.+=~-]+|[\w:+=~-]{16,}")


def address_secrets(url: str) -> set[str]:
    """Return what is secret in the URL of a channel or a ping: passwords, tokens, keys.

    Many services have their token in the path or where others have the host.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return set()
    found = set(url_secrets(url))
    before, _, _ = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
    after = rest.rpartition("@")[2] if before else rest
    host, *path = re.split(r"[/?#&=]", after)
    found |= {part for part in before.split(":")[1:] if part}
    tokens = [] if _WITH_HOST.fullmatch(scheme.lower()) else [host, before, *host.split(":")]
    parts = [*tokens, *path]
    found |= {
        part for part in parts if len(part) >= _SHORTEST_TOKEN and _LIKE_A_TOKEN.fullmatch(part)
    }
    return found | set(map(unquote, found))
