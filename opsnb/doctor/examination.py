"""`opsnb doctor`: can this target be reached, is it complete, is it safe to operate?

Each part says what was tried, the answer, and how to fix it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from opsnb.checks.probe import Probe
from opsnb.checks.running import Measurement
from opsnb.config.file import Config
from opsnb.config.places import CONFIG_NAME
from opsnb.config.systems import attribute, systems, variable_of
from opsnb.config.target import Target
from opsnb.errors import OpsnbError, TimedOut, Unreachable
from opsnb.model import Finding, Status
from opsnb.notify import spool
from opsnb.records import recovery
from opsnb.records import spool as spooled
from opsnb.records.store import Store
from opsnb.redaction import Redactor, environment_secrets, safe_url
from opsnb.timetable.standing import covering, standings
from opsnb.timetable.times import local_now
from opsnb.view.commands import line
from opsnb.view.findings import summary
from opsnb.view.formats import counted
from opsnb.view.lines import Labelled
from opsnb.view.styles import TERMINAL_STYLES

_BESIDE = 9  # columns of a status
_DOWN = (Unreachable.__name__, TimedOut.__name__)


def _place(key: str, target: Target, config: Config) -> str:
    return f"{key} in [targets.{target.name}] of {config.path or CONFIG_NAME}"


def _fix(probe: Probe, finding: Finding, target: Target, config: Config) -> str:
    """Return what to do about `finding`; empty where nothing is, or where it says so itself."""
    if finding.status in (Status.OK, Status.SKIPPED):
        return ""
    if probe.key and not target.given(probe.key):
        named = "" if config.path else variable_of(probe.key)
        also = f", or {named} in the environment" if named else ""
        return f"Set {_place(probe.key, target, config)}{also}."
    if finding.failure:
        return probe.down if finding.failure in _DOWN else ""
    if finding.remedies:
        return finding.remedies[0].command
    return probe.found


def _probes(target: Target) -> list[Probe]:
    """Return what is checked of each system of `target`."""
    found = [attribute(system.probes) for system in systems().values() if system.probes]
    return [probe for probes in found for probe in probes if probe.applies(target)]


@dataclass(frozen=True)
class Verdict:
    """What the doctor says of one part."""

    finding: Finding
    tried: str
    fix: str
    """Empty when there is nothing to fix, or when the answer says it."""


def examine(target: Target, config: Config) -> list[Verdict]:
    """Return one verdict a part of `target`, then those of the configuration; no secret in it."""
    probes = {probe.check.name: probe for probe in _probes(target)}
    found = Measurement(target).run([probe.check for probe in probes.values()])
    verdicts = [
        _verdict(probes[finding.name], finding, target, config)
        for finding in found
        if finding.name in probes
    ]
    redactor = Redactor(target.secrets | environment_secrets())
    return [
        _redacted(each, redactor)
        for each in (
            *verdicts,
            *_schedules(target, config),
            *_channels(config),
            *_spooled(config),
            _contacts(config),
        )
    ]


def report(verdicts: Sequence[Verdict]) -> RenderableType:
    """Return the verdicts for a terminal: status and part, what was tried, the answer, the fix.

    The worst stands last, with its fix. Print it without cropping.
    """
    parts: list[RenderableType] = []
    for each in verdicts:
        parts.append(Labelled(_status(each), each.finding.title, _BESIDE, "bold"))
        facts = (("tried", each.tried), ("answer", each.finding.message), ("fix", each.fix))
        parts += [Labelled(Text(label, "dim"), words, _BESIDE) for label, words in facts if words]
        # An empty row keeps the parts apart; all in one block is hard to read when tired.
        parts.append(Text())
    return Group(*parts, *_conclusion(verdicts))


def _conclusion(verdicts: Sequence[Verdict]) -> Iterator[RenderableType]:
    worst = max(verdicts, key=lambda each: each.finding.status.severity)
    counts = summary([each.finding for each in verdicts])
    if worst.finding.status in (Status.OK, Status.SKIPPED):
        yield Labelled(_status(worst), f"{counts}.", _BESIDE)
        return
    yield Text(f"{counts}.")
    words = f"{worst.finding.title}: {worst.finding.message}"
    yield Labelled(_status(worst), words, _BESIDE)
    if worst.fix:
        yield Labelled(Text("Next:"), worst.fix, _BESIDE)


def _status(verdict: Verdict) -> Text:
    status = verdict.finding.status
    return Text(status.upper(), TERMINAL_STYLES[status])


def _verdict(probe: Probe, finding: Finding, target: Target, config: Config) -> Verdict:
    named = not probe.key or target.given(probe.key)
    tried = probe.tried(target) if named else _place(probe.key, target, config)
    return Verdict(finding, tried, _fix(probe, finding, target, config))


def _redacted(verdict: Verdict, redactor: Redactor) -> Verdict:
    return Verdict(
        redactor.result(verdict.finding),
        redactor.text(verdict.tried),
        redactor.text(verdict.fix),
    )


def _schedules(target: Target, config: Config) -> list[Verdict]:
    """Return whether the schedules that check `target` run in time; nothing where none does."""
    tried = f"[[schedules]] in {config.path}"
    title = {"name": "schedules", "title": "Schedules"}
    try:
        found = covering(standings(config, Store(config.store), local_now()), target.name)
    except OpsnbError as error:
        finding = Finding(**title, status=Status.UNKNOWN, message=str(error))
        return [Verdict(finding, tried, "")]
    if not found:
        return []
    bad = [each for each in found if each.is_late or each.unknown]
    status = Status.OK if not bad else Status.UNKNOWN
    status = Status.WARN if any(each.is_late for each in found) else status
    words = " ".join(each.sentence for each in bad or found)
    missed = [f"{each.schedule.name} {len(each.missed)}" for each in found if each.missed]
    words += f" Runs missed in the last 7 days: {', '.join(missed)}." if missed else ""
    fix = next((each.command for each in bad if each.command), "")
    return [Verdict(Finding(**title, status=status, message=words), tried, fix)]


def _channels(config: Config) -> list[Verdict]:
    """Return whether notifications wait because a channel failed; nothing without channels."""
    if not config.notify:
        return []
    waiting = {each.name: list(spool.waiting(config, each.name)) for each in config.notify}
    words = [
        f"{len(messages)} for {name}, which said: {messages[-1].answer or 'nothing yet'}"
        for name, messages in waiting.items()
        if messages
    ]
    finding = Finding(
        name="notifications",
        title="Notifications",
        status=Status.WARN if words else Status.OK,
        message=f"Not delivered: {'; '.join(words)}." if words else "None is waiting.",
    )
    fix = line("notify", "flush") if words else ""
    return [Verdict(finding, f"[[notify]] in {config.path}", fix)]


def _spooled(config: Config) -> list[Verdict]:
    """Return a warning where records wait in the spool; nothing where none does."""
    tried, title = f"the spool, {spooled.folder()}", {"name": "records", "title": "Records"}
    try:
        store = Store(config.store)
        waiting, others = recovery.waiting(store), recovery.of_other_stores(store)
    except OpsnbError as error:
        return [Verdict(Finding(**title, status=Status.CRIT, message=str(error)), tried, "")]
    words = []
    if waiting:
        verb = "waits" if len(waiting) == 1 else "wait"
        words.append(
            f"{counted(len(waiting), 'record')} {verb} to be written to {safe_url(store.url)}. "
            f"{recovery.why_waiting(waiting[0])}"
        )
    for url, count in others.items():
        verb = "waits" if count == 1 else "wait"
        words.append(f"{counted(count, 'record')} {verb} for another store, {url}.")
    if not words:
        return []
    finding = Finding(**title, status=Status.WARN, message=" ".join(words))
    fix = (
        line("records", "recover")
        if waiting
        else ("Recover them with OPSNB_RECORDS set to that store, or delete them from the spool.")
    )
    return [Verdict(finding, tried, fix)]


def _contacts(config: Config) -> Verdict:
    unknown = [
        contact.role for contact in config.contacts if "TBD" in (contact.name, contact.contact)
    ]
    tried = f"[[contacts]] in {config.path}" if config.path else "[[contacts]], no opsnb.toml"
    finding = Finding(
        name="contacts",
        title="Emergency contacts",
        status=Status.WARN if unknown else Status.OK,
        message=f"Still TBD: {', '.join(unknown)}."
        if unknown
        else f"All {len(config.contacts)} contacts are named.",
    )
    return Verdict(finding, tried, "Name them in [[contacts]] of opsnb.toml." if unknown else "")
