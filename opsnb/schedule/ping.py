"""Pings for dead man's switches, in the convention of healthchecks: `/start`, success, `/fail`.

Whoever receives them raises the alarm when none arrives: that finds a cron daemon that is down, and
a machine that is off. A ping never delays a run by more than a few seconds and never fails it.
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
from opsnb.errors import ConfigError, OpsnbError
from opsnb.redaction import Redactor

_LIMIT_S = 5.0
_LONGEST_BODY = 10_000
START, SUCCESS, FAIL = "start", "", "fail"
_SUCCEEDED: Final = (0, 1)  # a warning is no reason to think that the schedule is broken


def ending(exit_code: int) -> str:
    """Return what a run that ended with `exit_code` pings: success after ok and warn."""
    return SUCCESS if exit_code in _SUCCEEDED else FAIL


@contextmanager
def switch(schedule: Schedule, config: Config) -> Iterator[Switch]:
    """Yield the dead man's switch of `schedule`, which is pinged that a run starts.

    What is raised is a failure; it has a note for each ping that did not arrive. The last ping has
    been sent at the end.
    """
    try:
        url = str(expand(schedule.ping, f"Schedule {schedule.name} in {config.path}: ping"))
        found = Switch(url)
    except ConfigError as error:
        found = Switch("", [str(error)])
    found.send(START)
    try:
        yield found
    except BaseException as error:
        found.send(FAIL, str(error))
        found.wait()
        for line in found.failures:
            error.add_note(line)
        raise
    found.wait()


class Switch:
    """Where the runs of one schedule are pinged; without a URL it does nothing."""

    def __init__(self, url: str, failures: list[str] | None = None) -> None:
        self._url = url
        self._redact = Redactor(address_secrets(url)).text
        self._last: threading.Thread | None = None
        self.failures = failures or []
        """A sentence for each ping that did not arrive."""

    def send(self, event: str, words: str = "") -> None:
        """Send a ping in the background, after the one before it."""
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
        """Wait until the last ping has been sent, but not for long."""
        if self._last:
            self._last.join(2 * _LIMIT_S)
            if self._last.is_alive():
                self.failures.append(f"Ping: no answer within {2 * _LIMIT_S:.0f} s.")

    def _note(self, event: str, send: Callable[[str, str], None], url: str, words: str) -> None:
        try:
            send(url, words)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the run goes on
            why = self._redact(str(error)) or type(error).__name__
            self.failures.append(f"Ping {event or 'success'} failed: {why}")


def _at(url: str, event: str) -> str:
    """Return the URL of an event: its word goes to the end of the path, before any query."""
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(path="/".join([parts.path.rstrip("/"), *([event] if event else [])]))
    )


def _post(url: str, words: str) -> None:
    # Late: few schedules have a switch, and this takes longer to import than a refusal may take.
    import httpx  # noqa: PLC0415

    ends = time.monotonic() + _LIMIT_S
    with httpx.stream(
        "POST", url, content=words.encode(), timeout=_LIMIT_S, follow_redirects=True
    ) as answer:
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise OpsnbError(f"the receiver answered {answer.status_code}")
        for _ in answer.iter_raw():  # a body that never ends is not read to its end
            if time.monotonic() > ends:
                break
