"""`notify`: the channels for notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opsnb.cli import output
from opsnb.cli.application import EnvironmentFile, notify_app
from opsnb.cli.context import config_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from opsnb.config.file import Config
    from opsnb.notify.delivery import Answer

_FAILED = 2
ChannelNames = Annotated[list[str] | None, typer.Argument(help="Channels; all by default.")]


@notify_app.command("test")
def send_test(name: ChannelNames = None, environment: EnvironmentFile = None) -> int:
    """Send a test message to each channel and show the response; exit 2 if one failed."""
    from opsnb.notify import dispatch
    from opsnb.timetable.times import local_now

    return _answers(dispatch.send_test(_config(environment), name or (), local_now()))


@notify_app.command("flush")
def flush(name: ChannelNames = None, environment: EnvironmentFile = None) -> int:
    """Send messages that are waiting because a channel failed; exit 2 if any are left."""
    from opsnb.notify import dispatch

    answers = dispatch.deliver_waiting(_config(environment), name or ())
    if not answers:
        output.say("No messages are waiting.")
    return _answers(answers)


@notify_app.command("status")
def status() -> int:
    """List messages that are waiting for a channel, and why; exit 1 if there are any."""
    from opsnb.notify import dispatch
    from opsnb.timetable.standing import moment

    waiting = dispatch.waiting(config_in_force())
    for channel, messages in waiting.items():
        for each in messages:
            said = f": {each.answer}" if each.answer else ""
            output.say(f"{channel}  {moment(each.queued)}  {each.message.title}")
            output.say(f"  {each.attempts} attempts{said}")
    if not waiting:
        output.say("No messages are waiting.")
    return int(bool(waiting))


def _config(environment: Path | None) -> Config:
    """Return the configuration in force, with the variables of the file `environment` in it."""
    import os

    from opsnb.schedule.environment import read_environment

    if environment:
        os.environ.update(read_environment(environment))
    return config_in_force()


def _answers(answers: Iterable[Answer]) -> int:
    failed = False
    for answer in answers:
        word = "ok" if answer.ok else "FAILED"
        left = f" ({answer.waiting} waiting)" if answer.waiting > 1 else ""
        output.say(f"{word:<8}{answer.channel}: {answer.words}{left}")
        failed |= not answer.ok
    return _FAILED if failed else 0
