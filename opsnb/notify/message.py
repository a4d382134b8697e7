"""The text of a notification: one message for all changes of a run, the worst first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from opsnb.model import Status
from opsnb.notify.known import Event, Kind
from opsnb.notify.observations import Observed
from opsnb.timetable.standing import moment
from opsnb.view import addresses, terminal
from opsnb.view.formats import span

_LONGEST_SENTENCE = 600
_MOST_CAUSES = 8
_MOST_TARGETS = 10
# Mentions in chats: `@everyone` anywhere, `@name` but not ops@example.com, and `<!channel>`,
# `<@id>` and `<#id>` of Slack and Discord.
_MENTION = re.compile(
    r"@(?=(?:all|channel|everyone|group|here|room|team)\b)|(?<![\w*])@(?=\w)|<(?=[!@#&])",
    re.IGNORECASE,
)
_INVISIBLE = "\u200b"
"""A zero-width space, which turns a mention into plain text."""


@dataclass(frozen=True)
class Cause:
    """One change, on all targets where it happened."""

    kind: str
    status: str
    title: str
    sentence: str
    targets: list[str]
    next: str
    """The next command; empty when it is ok again."""
    note: str = ""
    """Since when, or its status before."""
    about: str = ""
    """The address of the page that says what it means; empty if there is none."""

    @property
    def heading(self) -> str:
        """What changed and where: `CRIT API health on shop`."""
        where = _where(self.targets)
        return f"{_label(self.kind, self.status)} {self.title} on {where}"


@dataclass(frozen=True)
class Message:
    """A message for a channel, without secrets and control characters."""

    event: str
    status: str
    title: str
    body: str
    schedule: str = ""
    runbook: str = ""
    run_id: str = ""
    record: str = ""
    link: str = ""
    at: str = ""
    targets: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)

    @property
    def next(self) -> str:
        """The first command; empty if there is none."""
        return next((cause.next for cause in self.causes if cause.next), "")

    def as_json(self) -> dict[str, Any]:
        """Return the JSON for commands and for the spool."""
        first = self.causes[0].sentence if self.causes else self.body
        return {**asdict(self), "message": first, "next": self.next}

    def without_mentions(self) -> Message:
        """Return it with mentions in quoted text disabled.

        Paths and commands stay unchanged, so that they can be pasted.
        """
        causes = [
            replace(cause, title=_unmentioned(cause.title), sentence=_unmentioned(cause.sentence))
            for cause in self.causes
        ]
        title, body = _unmentioned(self.title), _unmentioned(self.body)
        return replace(self, title=title, body=body, causes=causes)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Message:
        """Return the message that `as_json` wrote. Raises TypeError or KeyError otherwise."""
        own = {key: value for key, value in stored.items() if key not in ("message", "next")}
        causes = [Cause(**cause) for cause in own.pop("causes")]
        return cls(**own, causes=causes)


def compose(
    events: Sequence[Event],
    observed: Observed,
    at: datetime,
    *,
    site: str = "",
    redact: Callable[[str], str],
) -> Message:
    """Return one message for all `events` of a run.

    `site` is where the site is published, for links to its pages; empty if it is not.
    """
    root = f"{site.rstrip('/')}/" if site else ""
    link = f"{root}{addresses.record(observed.run_id)}" if root and observed.run_id else ""
    causes = _causes(events, at, root, redact)
    kinds = {cause.kind for cause in causes}
    worst = max((event.observation.status for event in events), key=lambda status: status.severity)
    return Message(
        event=Kind.RECOVERY if kinds == {Kind.RECOVERY} else causes[0].kind,
        status=worst,
        title=_title(causes),
        body=_body(causes, observed, at, link, redact),
        schedule=observed.schedule,
        runbook=observed.runbook,
        run_id=observed.run_id,
        record=clean(observed.record, redact),
        link=link,
        at=at.isoformat(timespec="seconds"),
        targets=sorted({event.observation.target for event in events}),
        causes=causes,
    )


def clean(text: str, redact: Callable[[str], str]) -> str:
    """Return `text` as one bounded line without secrets and control characters.

    It is redacted before it is cut.
    """
    line = " ".join(terminal.visible(" ".join(redact(text).split())).split())
    return line if len(line) <= _LONGEST_SENTENCE else f"{line[: _LONGEST_SENTENCE - 4]} ..."


def _unmentioned(text: str) -> str:
    return _MENTION.sub(lambda mention: mention.group() + _INVISIBLE, text)


def _causes(
    events: Iterable[Event], at: datetime, root: str, redact: Callable[[str], str]
) -> list[Cause]:
    """Group events: the same finding with the same status on many targets is one cause."""
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for event in events:
        key = (event.kind, event.observation.name, event.observation.status)
        groups.setdefault(key, []).append(event)
    ordered = sorted(groups.values(), key=lambda group: (_rank(group[0]), -len(group)))
    return [_cause(group, at, root, redact) for group in ordered]


def _rank(event: Event) -> tuple[int, bool]:
    return (-event.observation.status.severity, event.kind is Kind.REMINDER)


def _cause(group: Sequence[Event], at: datetime, root: str, redact: Callable[[str], str]) -> Cause:
    first = group[0].observation
    is_bad = first.status is not Status.OK
    return Cause(
        kind=group[0].kind,
        status=first.status,
        title=clean(first.title, redact),
        sentence=clean(first.message, redact),
        targets=sorted({event.observation.target for event in group}),
        next=redact(terminal.visible(first.command)) if is_bad else "",
        note=_note(group[0], at),
        about=f"{root}{first.about}" if root and first.about and is_bad else "",
    )


def _note(event: Event, at: datetime) -> str:
    if event.kind is Kind.RECOVERY:
        return f"It was {event.was} for {span(at - event.since)}."
    if event.kind is Kind.CLOSED:
        return f"It was {event.was} at its last check and may still be."
    if event.kind is Kind.REMINDER:
        return f"For {span(at - event.since)} now."
    if event.kind is Kind.FLAPPING:
        return "It keeps changing. Changes are not reported until it is steady for 30 min."
    if event.kind is Kind.STEADY:
        return f"It has stopped changing; steady for {span(at - event.since)}."
    return f"It was {event.was} before." if event.was is not Status.OK else ""


def _label(kind: str, status: str) -> str:
    if kind == Kind.RECOVERY or (kind == Kind.STEADY and status == Status.OK):
        # For a channel that is notified of crit only.
        return "Recovered:" if status == Status.OK else f"Now only {status.upper()}:"
    if kind == Kind.CLOSED:
        return "Closed:"
    if kind == Kind.FLAPPING:
        return f"Flapping, now {status.upper()}:"
    return f"Still {status.upper()}" if kind == Kind.REMINDER else status.upper()


def _where(targets: Sequence[str]) -> str:
    return targets[0] if len(targets) == 1 else f"{len(targets)} targets"


def _title(causes: Sequence[Cause]) -> str:
    more = len(causes) - 1
    return causes[0].heading + (f", and {more} more" if more else "")


def _body(
    causes: Sequence[Cause],
    observed: Observed,
    at: datetime,
    link: str,
    redact: Callable[[str], str],
) -> str:
    lines: list[str] = []
    commands: set[str] = set()
    for cause in causes[:_MOST_CAUSES]:
        about = [f"About: {cause.about}"] if cause.about else []
        lines += [*_described(cause), *_next(cause, commands), *about, ""]
    if len(causes) > _MOST_CAUSES:
        lines += [f"And {len(causes) - _MOST_CAUSES} more in the record.", ""]
    by = f"schedule {observed.schedule}" if observed.schedule else "manual"
    lines.append(f"Run: {observed.runbook}, {by}, {moment(at)}")
    if observed.record:
        lines.append(f"Record: {clean(observed.record, redact)}")
    if link:
        lines.append(f"Page: {link}")
    return "\n".join(lines)


def _described(cause: Cause) -> list[str]:
    lines = [cause.heading]
    if len(cause.targets) > 1:
        shown = ", ".join(cause.targets[:_MOST_TARGETS])
        more = len(cause.targets) - _MOST_TARGETS
        lines.append(f"Targets: {shown}" + (f" and {more} more" if more > 0 else ""))
    return lines + [line for line in (cause.sentence, cause.note) if line]


def _next(cause: Cause, shown: set[str]) -> list[str]:
    """Return the line with the next command, unless an earlier line has it."""
    if not cause.next or cause.next in shown:
        return []
    shown.add(cause.next)
    return [f"Next: {cause.next}"]
