"""What happens after a run: remember, compose, queue, deliver. It never raises."""

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
    """Tell the channels what `result` changed, and deliver what waits.

    `schedule` is empty for a run by hand. Return what somebody should know of failed deliveries.
    """
    if not config.notify:
        return []
    try:
        observed = observations.of_run(result, schedule, store)
        return _tell(observed, config, at)
    except Exception as error:  # noqa: BLE001 - a run never fails for its notifications
        return [_failed(error)]


def after_refusal(schedule: Schedule, config: Config, why: str, at: datetime) -> list[str]:
    """Tell the channels that a scheduled run could not begin."""
    if not config.notify:
        return []
    try:
        observed = observations.of_refusal(
            schedule.name, schedule.runbook, targets_of(schedule, config), why
        )
        return _tell(observed, config, at)
    except Exception as error:  # noqa: BLE001 - as above
        return [_failed(error)]


def _failed(error: Exception) -> str:
    if isinstance(error, Timeout):
        return "Notifications: another run holds their memory; nothing was sent this time."
    words = str(error) if isinstance(error, OpsnbError) else f"{type(error).__name__}: {error}"
    return f"Notifications failed: {words}"


def _tell(observed: Observed, config: Config, at: datetime) -> list[str]:
    """Queue and deliver what is new to each channel; return what failed.

    A disk that is full may be what there is to say: what cannot be queued is sent at once.
    """
    unqueued, failure = _queue(observed, config, at)
    answers = deliver(config, config.notify, unqueued)
    forgotten = [f"Notifications may be repeated: {failure}."] if failure else []
    return _complaints(answers) + forgotten


def _queue(
    observed: Observed, config: Config, at: datetime
) -> tuple[list[tuple[Notify, Message]], str]:
    """Put what is new to each channel into its spool, and remember that it was told.

    Return the messages that could not be queued, and what is wrong with the memory.
    """
    unqueued: list[tuple[Notify, Message]] = []
    redact = Redactor(config.secrets | environment_secrets()).text
    link = _link(config, observed.run_id)
    spool.drop_gone(config)
    with memory.opened(spool.home(config) / _MEMORY) as known:
        known.forget([channel.name for channel in config.notify])
        checks = Checks(
            [*config.names, DEMO],
            {each.name: targets_of(each, config) for each in config.schedules},
        )
        for channel in config.notify:
            events: list[Event] = []
            if observed.schedule or channel.manual:
                events += known.closed(channel, observed, checks)
            if channel.wants_run(observed.schedule, observed.runbook):
                events += known.events(channel, observed, at)
            if events:
                # Queued before the memory is written: a kill between the two tells it twice,
                # never not at all.
                message = compose(events, observed, at, link=link, redact=redact)
                try:
                    spool.add(config, channel.name, message, at)
                except (OSError, ConfigError):
                    unqueued.append((channel, message))
    return unqueued, known.failure


def targets_of(schedule: Schedule, config: Config) -> list[str]:
    """Return the targets of `schedule`; what matches none stays as it is written."""
    found: list[str] = []
    for pattern in schedule.targets:
        try:
            found += config.matching([pattern])
        except UsageError:
            found.append(pattern)
    return list(dict.fromkeys(found))


def _link(config: Config, run_id: str) -> str:
    site = config.records.site.rstrip("/")
    return f"{site}/records/{run_id}.html" if site and run_id else ""


def _complaints(answers: Iterable[Answer]) -> list[str]:
    """Return a sentence for each channel that failed with something new."""
    return [
        f"Notification to {answer.channel} failed: {_sentence(answer.words)} "
        + (
            f"{answer.waiting} waiting; the next run tries again, or: opsnb notify flush"
            if answer.waiting
            else "It could not be kept for later either."
        )
        for answer in answers
        if not answer.ok and answer.first_failure
    ]


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words}."


# --- commands ----------------------------------------------------------------------------------


def chosen(config: Config, names: Sequence[str]) -> list[Notify]:
    """Return the channels `names`, all by default. Raises ConfigError on one that is not there."""
    known = {channel.name: channel for channel in config.notify}
    if not known:
        raise ConfigError(
            f"{config.path or 'opsnb.toml'} has no channels; write a [[notify]] table."
        )
    for name in names:
        if name not in known:
            raise ConfigError(
                f"There is no channel '{name}' in {config.path}.{did_you_mean(name, known)}"
            )
    check_runbooks(config)
    return [known[name] for name in names] or list(known.values())


def check_addresses(config: Config) -> None:
    """Raise ConfigError on the first channel whose URL apprise cannot use."""
    # Late: apprise takes longer to import than a listing may take.
    from opsnb.notify import address  # noqa: PLC0415

    for channel in config.notify:
        if channel.url and not channel.url.startswith("${"):
            address.check(channel.url, f"[[notify]] {channel.name} in {config.path}")


def check_runbooks(config: Config) -> None:
    """Raise ConfigError on the first channel that names a runbook that there is not."""
    if not any(channel.runbooks for channel in config.notify):
        return
    ids = [info.id for info in catalog.runbooks()]
    for channel in config.notify:
        check_filter(channel.runbooks, ids, f"[[notify]] {channel.name} in {config.path}: runbooks")


def test(config: Config, names: Sequence[str], at: datetime) -> list[Answer]:
    """Send a test message to the channels `names`, all by default; return what each answered."""
    answers = []
    channels = chosen(config, names)
    check_addresses(config)
    for channel in channels:
        ok, words = attempt(config, channel, test_message(at), channel.timeout)
        answers.append(Answer(channel.name, int(ok), int(not ok), words))
    return answers


def deliver_waiting(config: Config, names: Sequence[str]) -> list[Answer]:
    """Deliver what waits for the channels `names`, all by default."""
    return deliver(config, chosen(config, names))


def waiting(config: Config) -> dict[str, list[spool.Waiting]]:
    """Return what waits for each channel that has something, also for those that are gone."""
    return {name: list(spool.waiting(config, name)) for name in spool.channels(config)}
