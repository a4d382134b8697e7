"""Notify after a run: update the memory, write, queue and deliver messages. Never raises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from filelock import Timeout

from opsnb import catalog
from opsnb.config.file import DEMO, Config
from opsnb.config.unattended import Notify, Schedule, check_filter
from opsnb.errors import ConfigError, OpsnbError, UsageError, did_you_mean
from opsnb.model import RunResult
from opsnb.notify import memory, observations, spool
from opsnb.notify.delivery import Answer, attempt, deliver, test_message
from opsnb.notify.known import Event
from opsnb.notify.memory import Checks
from opsnb.notify.message import Message, compose
from opsnb.notify.observations import Observed
from opsnb.records.store import Store
from opsnb.redaction import Redactor, environment_secrets

_MEMORY = "told.json"


def after_run(
    result: RunResult, config: Config, store: Store, *, schedule: str, at: datetime
) -> list[str]:
    """Notify the channels of what `result` changed, and deliver waiting messages.

    `schedule` is empty for a manual run. Return sentences about new failures.
    """
    if not config.notify:
        return []
    try:
        observed = observations.of_run(result, schedule, store)
        return _notify(observed, config, at)
    except Exception as error:  # noqa: BLE001 - notifications must not make a run fail
        return [_failed(error)]


def after_refusal(schedule: Schedule, config: Config, why: str, at: datetime) -> list[str]:
    """Notify the channels that a scheduled run could not begin."""
    if not config.notify:
        return []
    try:
        observed = observations.of_refusal(
            schedule.name, schedule.runbook, targets_of(schedule, config), why
        )
        return _notify(observed, config, at)
    except Exception as error:  # noqa: BLE001 - as above
        return [_failed(error)]


def _failed(error: Exception) -> str:
    if isinstance(error, Timeout):
        return "Notifications: another run is using their memory, so nothing was sent."
    words = str(error) if isinstance(error, OpsnbError) else f"{type(error).__name__}: {error}"
    return f"Notifications failed: {words}"


def _notify(observed: Observed, config: Config, at: datetime) -> list[str]:
    """Queue and deliver what is news to each channel; return failures.

    What cannot be queued, as on a full disk, is sent at once.
    """
    unqueued, failure = _queue(observed, config, at)
    answers = deliver(config, config.notify, unqueued)
    forgotten = [f"Notifications may be repeated: {failure}."] if failure else []
    return _complaints(answers) + forgotten


def _queue(
    observed: Observed, config: Config, at: datetime
) -> tuple[list[tuple[Notify, Message]], str]:
    """Add what is news to each channel to its spool and its memory.

    Return the messages that could not be queued, and what is wrong with the memory.
    """
    unqueued: list[tuple[Notify, Message]] = []
    redact = Redactor(config.secrets | environment_secrets()).text
    spool.drop_gone(config)
    with memory.opened(spool.home(config) / _MEMORY) as known:
        known.forget([channel.name for channel in config.notify])
        checks = Checks(
            [*config.names, DEMO],
            {schedule.name: targets_of(schedule, config) for schedule in config.schedules},
        )
        for channel in config.notify:
            events: list[Event] = []
            if observed.schedule or channel.manual:
                events += known.closed(channel, observed, checks)
            if channel.wants_run(observed.schedule, observed.runbook):
                events += known.events(channel, observed, at)
            if events:
                # Queued before the memory is written: a kill in between sends it twice
                # rather than never.
                message = compose(events, observed, at, site=config.records.site, redact=redact)
                try:
                    spool.add(config, channel.name, message, at)
                except (OSError, ConfigError):
                    unqueued.append((channel, message))
    return unqueued, known.failure


def targets_of(schedule: Schedule, config: Config) -> list[str]:
    """Return the targets of `schedule`; a pattern without a match is kept."""
    names: list[str] = []
    for pattern in schedule.targets:
        try:
            names += config.matching([pattern])
        except UsageError:
            names.append(pattern)
    return list(dict.fromkeys(names))


def _complaints(answers: Iterable[Answer]) -> list[str]:
    """Return a sentence for each channel that failed for the first time."""
    return [
        f"Notification to {answer.channel} failed: {_sentence(answer.words)} "
        + (
            f"{answer.waiting} waiting. The next run tries again, or: opsnb notify flush"
            if answer.waiting
            else "It could not be kept for later."
        )
        for answer in answers
        if not answer.ok and answer.first_failure
    ]


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words}."


# --- commands ----------------------------------------------------------------------------------


def chosen(config: Config, names: Sequence[str]) -> list[Notify]:
    """Return the channels `names`, by default all. Raises ConfigError on an unknown one."""
    known = {channel.name: channel for channel in config.notify}
    if not known:
        raise ConfigError(f"{config.path or 'opsnb.toml'} has no channels. Add a [[notify]] table.")
    for name in names:
        if name not in known:
            raise ConfigError(
                f"There is no channel '{name}' in {config.path}.{did_you_mean(name, known)}"
            )
    check_runbooks(config)
    return [known[name] for name in names] or list(known.values())


def check_addresses(config: Config) -> None:
    """Raise ConfigError on the first channel whose URL apprise cannot use."""
    # Imported here: apprise is slow to import.
    from opsnb.notify import address  # noqa: PLC0415

    for channel in config.notify:
        if channel.url and not channel.url.startswith("${"):
            address.check(channel.url, f"[[notify]] {channel.name} in {config.path}")


def check_runbooks(config: Config) -> None:
    """Raise ConfigError on the first channel that names an unknown runbook."""
    if not any(channel.runbooks for channel in config.notify):
        return
    ids = [info.id for info in catalog.runbooks()]
    for channel in config.notify:
        check_filter(channel.runbooks, ids, f"[[notify]] {channel.name} in {config.path}: runbooks")


def send_test(config: Config, names: Sequence[str], at: datetime) -> list[Answer]:
    """Send a test message to the channels `names`, by default all; return their responses."""
    answers = []
    channels = chosen(config, names)
    check_addresses(config)
    for channel in channels:
        ok, words = attempt(config, channel, test_message(at), channel.timeout)
        answers.append(Answer(channel.name, int(ok), int(not ok), words))
    return answers


def deliver_waiting(config: Config, names: Sequence[str]) -> list[Answer]:
    """Deliver the waiting messages of the channels `names`, by default all."""
    return deliver(config, chosen(config, names))


def waiting(config: Config) -> dict[str, list[spool.Waiting]]:
    """Return the waiting messages by channel, including channels that were removed."""
    return {name: list(spool.waiting(config, name)) for name in spool.channels(config)}
