"""Pings for dead man's switches, with the endpoints of healthchecks.

They are `/start`, success, `/fail`, and `/log` for a run that did not begin because another run
held its target: the receiver then alarms only if no later run succeeds in time.

The receiver raises an alarm when no ping arrives, as when cron is down or the machine is off. A
ping never delays a run by more than a few seconds, and never makes it fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from opsnb.config.file import Config
from opsnb.config.unattended import Schedule, address_secrets
from opsnb.config.variables import expand
from opsnb.errors import ConfigError, ExitCode, Locked, OpsnbError
from opsnb.model import RunResult
from opsnb.records.members import members
from opsnb.redaction import Redactor

_LIMIT_S = 5.0
_LONGEST_BODY = 10_000
START, SUCCESS, FAIL, LOG = "start", "", "fail", "log"
_SUCCEEDED: Final = {ExitCode.OK, ExitCode.WARN}  # a warning is no failure of the schedule


def ending(result: RunResult) -> str:
    """Return the ping for a run: success after ok and warn, log if it only found a lock."""
    runs = members(result) if result.is_summary else [result]
    failed = {run.exit_code for run in runs} - _SUCCEEDED
    if not failed:
        return SUCCESS
    return LOG if failed == {ExitCode.LOCKED} else FAIL


@contextmanager
def switch(schedule: Schedule, config: Config) -> Iterator[Switch]:
    """Yield the dead man's switch of `schedule`, after a start ping.

    An exception sends a fail ping, Locked one for the log, and gets a note for each ping that
    failed. All pings have been sent at the end.
    """
    try:
        url = str(expand(schedule.ping, f"Schedule {schedule.name} in {config.path}: ping"))
        pings = Switch(url)
    except ConfigError as error:
        pings = Switch("", [str(error)])
    pings.send(START)
    try:
        yield pings
    except BaseException as error:
        pings.send(LOG if isinstance(error, Locked) else FAIL, str(error))
        pings.wait()
        for line in pings.failures:
            error.add_note(line)
        raise
    pings.wait()


class Switch:
    """Pings for the runs of one schedule; without a URL it does nothing."""

    def __init__(self, url: str, failures: list[str] | None = None) -> None:
        self._url = url
        self._redact = Redactor(address_secrets(url)).text
        self._last: threading.Thread | None = None
        self.failures = failures or []
        """A sentence for each ping that failed."""

    def send(self, event: str, words: str = "") -> None:
        """Send a ping in the background, after the previous one."""
        if not self._url:
            return
        before, url = self._last, _at(self._url, event)

        def work() -> None:
            if before:
                before.join(_LIMIT_S)
            self._note(event, _post, url, words[:_LONGEST_BODY])

        self._last = threading.Thread(target=work, daemon=True, name=f"ping {event}")
        self._last.start()

    def wait(self) -> None:
        """Wait briefly until the last ping has been sent."""
        if self._last:
            self._last.join(2 * _LIMIT_S)
            if self._last.is_alive():
                self.failures.append(f"Ping: no response within {2 * _LIMIT_S:.0f} s.")

    def _note(self, event: str, send: Callable[[str, str], None], url: str, words: str) -> None:
        try:
            send(url, words)
        except Exception as error:  # noqa: BLE001 - a failed ping must not end the run
            why = self._redact(str(error)) or type(error).__name__
            self.failures.append(f"Ping {event or 'success'} failed: {why}")


def _at(url: str, event: str) -> str:
    """Return the URL of an event: its name is appended to the path, before any query."""
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(path="/".join([parts.path.rstrip("/"), *([event] if event else [])]))
    )


def _post(url: str, words: str) -> None:
    # Imported here: few schedules have a switch, and httpx is slow to import.
    import httpx  # noqa: PLC0415

    ends = time.monotonic() + _LIMIT_S
    with httpx.stream(
        "POST", url, content=words.encode(), timeout=_LIMIT_S, follow_redirects=True
    ) as answer:
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise OpsnbError(f"the receiver responded with {answer.status_code}")
        for _ in answer.iter_raw():  # a body that never ends must not block
            if time.monotonic() > ends:
                break
