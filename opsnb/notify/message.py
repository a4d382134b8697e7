"""The words of a notification: one message for all that a run changed, the worst first."""

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
from opsnb.view import terminal
from opsnb.view.formats import span

_LONGEST_SENTENCE = 600
_MOST_CAUSES = 8
_MOST_TARGETS = 10
# What calls people in a chat: `@everyone` anywhere, `@name` but not ops@example.com, and Slack's
# and Discord's `<!channel>`, `<@id>`, `<#id>`.
_MENTION = re.compile(
    r"@(?=(?:all|channel|everyone|group|here|room|team)\b)|(?<![\w*])@(?=\w)|<(?=[!@#&])",
    re.IGNORECASE,
)
_INVISIBLE = "\u200b"
"""A space without width: chats take what is broken by it as plain text."""


@dataclass(frozen=True)
class Cause:
    """One thing that has changed, on every target where it has."""

    kind: str
    status: str
    title: str
    sentence: str
    targets: list[str]
    next: str
    """The command to type next; empty when all is ok again."""
    note: str = ""
    """Since when, or what it was before."""

    @property
    def heading(self) -> str:
        """What it is and where: `CRIT API health on shop`."""
        where = _where(self.targets)
        return f"{_label(self.kind, self.status)} {self.title} on {where}"


@dataclass(frozen=True)
class Message:
    """What a channel is sent, free of secrets and control characters."""

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
        """The command to type first; empty when there is none."""
        return next((cause.next for cause in self.causes if cause.next), "")

    def as_json(self) -> dict[str, Any]:
        """Return what a command gets on stdin, and what the spool holds."""
        first = self.causes[0].sentence if self.causes else self.body
        return {**asdict(self), "message": first, "next": self.next}

    def without_mentions(self) -> Message:
        """Return it so that no chat calls people for what is quoted in it.

        Paths and commands of their own stay as they are, for they are pasted.
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
    link: str = "",
    redact: Callable[[str], str],
) -> Message:
    """Return the one message that tells of all `events` of a run."""
    causes = _causes(events, at, redact)
    kinds = {cause.kind for cause in causes}
    worst = max((event.observation.status for event in events), key=lambda each: each.severity)
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
    """Return `text` as one line without secrets and control characters, not too long.

    It is redacted before it is cut.
    """
    line = " ".join(terminal.visible(" ".join(redact(text).split())).split())
    return line if len(line) <= _LONGEST_SENTENCE else f"{line[: _LONGEST_SENTENCE - 4]} ..."


def _unmentioned(text: str) -> str:
    return _MENTION.sub(lambda found: found.group() + _INVISIBLE, text)


def _causes(events: Iterable[Event], at: datetime, redact: Callable[[str], str]) -> list[Cause]:
    """Return the events by cause: the same finding with the same status on many targets is one."""
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for event in events:
        key = (event.kind, event.observation.name, event.observation.status)
        groups.setdefault(key, []).append(event)
    ordered = sorted(groups.values(), key=lambda group: (_rank(group[0]), -len(group)))
    return [_cause(group, at, redact) for group in ordered]


def _rank(event: Event) -> tuple[int, bool]:
    return (-event.observation.status.severity, event.kind is Kind.REMINDER)


def _cause(group: Sequence[Event], at: datetime, redact: Callable[[str], str]) -> Cause:
    first = group[0].observation
    return Cause(
        kind=group[0].kind,
        status=first.status,
        title=clean(first.title, redact),
        sentence=clean(first.message, redact),
        targets=sorted({event.observation.target for event in group}),
        next=redact(terminal.visible(first.command)) if first.status is not Status.OK else "",
        note=_note(group[0], at),
    )


def _note(event: Event, at: datetime) -> str:
    if event.kind is Kind.RECOVERY:
        return f"It was {event.was} for {span(at - event.since)}."
    if event.kind is Kind.CLOSED:
        return f"It was {event.was} when it was last checked, and may still be."
    if event.kind is Kind.REMINDER:
        return f"It has been so for {span(at - event.since)}."
    if event.kind is Kind.FLAPPING:
        return "It keeps changing, so changes are not reported until it is steady for 30 min."
    if event.kind is Kind.STEADY:
        return f"It has stopped changing; steady for {span(at - event.since)}."
    return f"It was {event.was} before." if event.was is not Status.OK else ""


def _label(kind: str, status: str) -> str:
    if kind == Kind.RECOVERY or (kind == Kind.STEADY and status == Status.OK):
        # A channel that hears of crits alone hears that there is one no more.
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
        lines += [*_told(cause), *_next(cause, commands), ""]
    if len(causes) > _MOST_CAUSES:
        lines += [f"And {len(causes) - _MOST_CAUSES} more; the record has them.", ""]
    by = f"schedule {observed.schedule}" if observed.schedule else "by hand"
    lines.append(f"Run: {observed.runbook}, {by}, {moment(at)}")
    if observed.record:
        lines.append(f"Record: {clean(observed.record, redact)}")
    if link:
        lines.append(f"Page: {link}")
    return "\n".join(lines)


def _told(cause: Cause) -> list[str]:
    lines = [cause.heading]
    if len(cause.targets) > 1:
        shown = ", ".join(cause.targets[:_MOST_TARGETS])
        more = len(cause.targets) - _MOST_TARGETS
        lines.append(f"Targets: {shown}" + (f" and {more} more" if more > 0 else ""))
    return lines + [line for line in (cause.sentence, cause.note) if line]


def _next(cause: Cause, said: set[str]) -> list[str]:
    """Return the line with the command to type, unless one above has it already."""
    if not cause.next or cause.next in said:
        return []
    said.add(cause.next)
    return [f"Next: {cause.next}"]
