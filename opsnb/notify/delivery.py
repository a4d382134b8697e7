"""Deliver the messages in the spool: all channels in parallel, each within its time limit.

A separate process sends each message and is killed at the time limit, so that no service or command
can keep a run from ending.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from opsnb.config.file import Config
from opsnb.config.unattended import Notify, address_secrets, program
from opsnb.config.variables import expand
from opsnb.errors import ConfigError, OpsnbError
from opsnb.notify import spool
from opsnb.notify.message import Message, clean
from opsnb.redaction import Redactor, environment_secrets
from opsnb.timetable.standing import moment

_LEAST_SHARE = 0.5  # of a channel's time limit; with less time left, no message is started
_SOON = timedelta(minutes=1)
_LONGEST_ANSWER = 4096
_PIECE = 65_536
_POLL_S = 0.05
_BLOCKS = 5
"""A message holds back later ones, which may be recoveries, until it has failed this often; then it
is
probably the message itself that the channel does not accept."""
_LONGEST_VARIABLE = 32_000  # Linux takes four times as many bytes


@dataclass(frozen=True)
class Answer:
    """The result of delivering a channel's messages."""

    channel: str
    delivered: int
    waiting: int
    """How many are left in the spool."""
    words: str
    """The last response of the channel."""
    first_failure: bool = False
    """Whether a message failed at its first attempt."""

    lost: bool = False
    """Whether a message failed and could not be kept for later."""

    @property
    def ok(self) -> bool:
        """Whether all was delivered."""
        return not (self.waiting or self.lost)


def deliver(
    config: Config, channels: Iterable[Notify], unqueued: Sequence[tuple[Notify, Message]] = ()
) -> list[Answer]:
    """Deliver the waiting messages of `channels`, and try the messages `unqueued` once.

    Return an answer for each channel with messages and for each of the unqueued ones.
    """
    busy = [channel for channel in channels if spool.count(config, channel.name)]
    orders = [partial(_deliver, config, channel) for channel in busy]
    orders += [partial(_send_once, config, channel, message) for channel, message in unqueued]
    if not orders:
        return []
    with ThreadPoolExecutor(len(orders)) as pool:
        return [running.result() for running in [pool.submit(order) for order in orders]]


def _send_once(config: Config, channel: Notify, message: Message) -> Answer:
    ok, words = attempt(config, channel, message, channel.timeout)
    return Answer(channel.name, int(ok), 0, words, first_failure=not ok, lost=not ok)


def _deliver(config: Config, channel: Notify) -> Answer:
    ends = time.monotonic() + channel.timeout
    try:
        lock = spool.folder(config, channel.name) / "lock"
        with FileLock(lock, timeout=channel.timeout, mode=0o600):
            return _deliver_in_order(config, channel, ends)
    except Timeout:
        words = "another run is delivering to it"
    except (OSError, OpsnbError) as error:
        words = clean(str(error), _redactor(config, "").text)
    return Answer(channel.name, 0, spool.count(config, channel.name), words)


def _deliver_in_order(config: Config, channel: Notify, ends: float) -> Answer:
    delivered, words, first_failure = 0, "", False
    for waiting in spool.waiting(config, channel.name):
        left = ends - time.monotonic()
        if left < _LEAST_SHARE * channel.timeout:
            break
        if waiting.is_too_old:
            waiting.delivered()
            words = f"gave up after {spool.KEPT_FOR.days} days: {waiting.answer}"
            continue
        ok, words = attempt(config, channel, _dated(waiting), left)
        if ok:
            waiting.delivered()
            delivered += 1
            continue
        first_failure |= not waiting.attempts
        waiting.failed(words)
        if waiting.attempts < _BLOCKS:
            break
    left_over = spool.count(config, channel.name)
    return Answer(channel.name, delivered, left_over, words, first_failure)


def _dated(waiting: spool.Waiting) -> Message:
    """Return its message, marked as delayed if it is late."""
    if not waiting.attempts and datetime.now(UTC) - waiting.queued < _SOON:
        return waiting.message
    stored = waiting.message.as_json()
    stored["body"] = f"Delayed, from {moment(waiting.queued)}.\n\n{waiting.message.body}"
    return Message.from_json(stored)


def attempt(config: Config, channel: Notify, message: Message, limit_s: float) -> tuple[bool, str]:
    """Send `message` once, within `limit_s`; return whether it was accepted, and the response."""
    where = f"[[notify]] {channel.name} in {config.path}"
    message = message.without_mentions()
    url = ""
    try:
        if channel.command:
            command = [str(expand(word, where)) for word in channel.command]
            ok, response = _run_command(command, config, message, limit_s)
        else:
            url = str(expand(channel.url, where))
            ok, response = _send(url, where, message, limit_s)
    except subprocess.TimeoutExpired:
        ok, response = False, f"no response within {limit_s:.0f} s"
    except (OSError, ConfigError, ValueError) as error:
        ok, response = False, str(error)
    return ok, clean(response, _redactor(config, url).text)


def _redactor(config: Config, url: str) -> Redactor:
    return Redactor(config.secrets | address_secrets(url) | environment_secrets())


def _send(url: str, where: str, message: Message, limit_s: float) -> tuple[bool, str]:
    order = {
        "url": url,
        "where": where,
        "title": message.title,
        "body": message.body,
        "status": message.status,
    }
    words = [sys.executable, "-P", "-m", "opsnb.notify.send"]
    code, output = _bounded(words, json.dumps(order), os.environ, None, limit_s)
    try:
        answer = json.loads(output)
        return bool(answer["ok"]), str(answer["answer"])
    except (ValueError, KeyError, TypeError):
        return False, f"the sender ended with exit code {code}: {output}"


def _run_command(
    command: list[str], config: Config, message: Message, limit_s: float
) -> tuple[bool, str]:
    folder = config.path.parent if config.path else Path()
    command[0] = program(command, folder) or command[0]
    given = os.environ | _variables(message)
    code, output = _bounded(command, json.dumps(message.as_json()), given, folder, limit_s)
    return code == 0, f"exit code {code}" + (f": {output}" if output.strip() else "")


def _variables(message: Message) -> dict[str, str]:
    variables = {
        "EVENT": message.event,
        "STATUS": message.status,
        "TITLE": message.title,
        "MESSAGE": str(message.as_json()["message"]),
        "BODY": message.body,
        "NEXT": message.next,
        "RECORD": message.record,
        "LINK": message.link,
        "TARGETS": " ".join(message.targets),
        "SCHEDULE": message.schedule,
        "RUNBOOK": message.runbook,
        "RUN_ID": message.run_id,
    }
    return {f"OPSNB_{name}": value[:_LONGEST_VARIABLE] for name, value in variables.items()}


def _bounded(
    words: list[str],
    given: str,
    environment: Mapping[str, str],
    folder: Path | None,
    limit_s: float,
) -> tuple[int, str]:
    """Run a program with `given` on its stdin; return its exit code and the start of its output.

    Processes that it leaves in the background are not waited for. On TimeoutExpired, its process
    group has been killed.
    """
    ends = time.monotonic() + limit_s
    with _scratch() as stdin, _pipe() as (reader, writer):
        stdin.write(given.encode())
        stdin.seek(0)
        with writer:
            process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=writer,
                stderr=subprocess.STDOUT if folder else subprocess.DEVNULL,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        try:
            beginning = _read(reader, process, ends)
            return process.wait(max(0.0, ends - time.monotonic())), beginning
        except subprocess.TimeoutExpired as error:
            raise subprocess.TimeoutExpired(words[0], limit_s) from error
        finally:
            if process.returncode is None:
                _end(process)


def _read(reader: IO[bytes], process: subprocess.Popen[bytes], ends: float) -> str:
    """Return the start of the output of `process` until it ends or closes its output.

    All of it is read, so that the process never blocks. Raises TimeoutExpired.
    """
    kept, ended = b"", False
    os.set_blocking(reader.fileno(), False)
    with selectors.DefaultSelector() as ready:
        ready.register(reader, selectors.EVENT_READ)
        while time.monotonic() < ends:
            if ready.select(_POLL_S * (not ended)):
                piece = os.read(reader.fileno(), _PIECE)
                kept = (kept + piece)[:_LONGEST_ANSWER]
                if not piece or (ended and len(kept) == _LONGEST_ANSWER):
                    return kept.decode(errors="replace")
            elif ended:  # a background process may keep it open
                return kept.decode(errors="replace")
            ended = ended or process.poll() is not None
    raise subprocess.TimeoutExpired(process.args, 0)


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as from_it, os.fdopen(writer, "wb") as to_it:
        yield from_it, to_it


def _scratch() -> IO[bytes]:
    """Return a file, in memory if possible: the disk may be full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("opsnb"), "w+b")
    return tempfile.TemporaryFile()


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_message(at: datetime) -> Message:
    """Return the message of `opsnb notify test`."""
    return Message(
        event="test",
        status="ok",
        title="Test message from opsnb",
        body=f"This is a test, sent at {moment(at)}. If you can read it, this channel works.",
        at=at.astimezone(UTC).isoformat(timespec="seconds"),
    )
