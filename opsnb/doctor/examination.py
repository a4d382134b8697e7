"""`opsnb doctor`: can this target be reached, is it complete, is it safe to operate?

Each part says what was tried, the answer, and how to fix it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from rich.console import Group, RenderableType
from rich.text import Text

from opsnb.checks.check import Check
from opsnb.checks.running import Measurement
from opsnb.config.places import CONFIG_NAME
from opsnb.config.target import Config, Target
from opsnb.errors import OpsnbError, TimedOut, Unreachable
from opsnb.model import Finding, Status
from opsnb.notify import spool
from opsnb.records import recovery
from opsnb.records import spool as spooled
from opsnb.records.store import Store
from opsnb.redaction import Redactor, environment_secrets, safe_url
from opsnb.systems import api, cache, database, host, logs, processes, queues
from opsnb.systems.api.settings import Api
from opsnb.systems.logs.settings import Logs
from opsnb.systems.processes.settings import Processes
from opsnb.systems.queues.settings import Queues
from opsnb.timetable.standing import covering, standings
from opsnb.timetable.times import local_now
from opsnb.view.commands import line
from opsnb.view.findings import TERMINAL_STYLES, summary
from opsnb.view.formats import counted
from opsnb.view.lines import Labelled

_BESIDE = 9  # columns of a status


@dataclass(frozen=True)
class Part:
    """One part of a target that the doctor checks."""

    check: Check[[]]
    tried: Callable[[Target], str]
    down: str
    """The fix when nothing responds there."""
    found: str = ""
    """The fix when it was measured and is not ok, where the finding does not say so itself."""
    key: str = ""
    """The key of the target without which there is nothing to check."""

    def fix(self, finding: Finding, target: Target, config: Config) -> str:
        """Return what to do about `finding`; empty where nothing is, or where it says so itself."""
        if finding.status in (Status.OK, Status.SKIPPED):
            return ""
        if self.key and not target.given(self.key):
            variable = "" if config.path else f", or {self.key.upper()} in the environment"
            return f"Set {_place(self.key, target, config)}{variable}."
        if finding.failure:
            return self.down if finding.failure in _DOWN else ""
        if finding.remedies:
            return finding.remedies[0].command
        return self.found


_DOWN = (Unreachable.__name__, TimedOut.__name__)


def _place(key: str, target: Target, config: Config) -> str:
    return f"{key} in [targets.{target.name}] of {config.path or CONFIG_NAME}"


def _get(target: Target, path: str) -> str:
    if not path:
        return "a path of the API, which opsnb.toml leaves empty"
    parts = urlsplit(Api.of(target).url)
    parts = parts._replace(path=parts.path.rstrip("/") + path, query="", fragment="")
    return f"GET {safe_url(parts.geturl())}"


PARTS = (
    Part(
        api.health,
        lambda target: _get(target, Api.of(target).health),
        "Start the service, or correct api_url.",
        key="api_url",
    ),
    Part(
        api.queue_stats,
        lambda target: _get(target, Api.of(target).queue_stats),
        "Start the service, or correct api_url.",
        key="api_url",
    ),
    Part(
        cache.ping,
        lambda target: f"PING {target.describe()['redis']}",
        "Start Redis, or correct redis_url.",
        key="redis_url",
    ),
    Part(
        cache.eviction,
        lambda _: "INFO memory, maxmemory_policy",
        "Start Redis, or correct redis_url.",
        "Give the queues a Redis of their own with maxmemory-policy noeviction. In one that is "
        "shared with a cache, that policy makes a full Redis refuse all writes.",
        "redis_url",
    ),
    Part(
        queues.depth.given(),
        lambda target: f"BullMQ under the prefix '{Queues.of(target).prefix}'",
        "Start the queues' Redis, or correct queues.url.",
        "Work off what waits; if queues are missing, correct queues.names or queues.prefix.",
        "queues.url",
    ),
    Part(
        database.ping,
        lambda target: f"SELECT 1 on {target.describe()['database']}",
        "Start PostgreSQL, or correct database_url.",
        key="database_url",
    ),
    Part(
        database.statements,
        lambda _: "pg_stat_statements",
        "Start PostgreSQL, or correct database_url.",
        key="database_url",
    ),
    Part(
        database.pg_dump,
        lambda target: f"{database.program(target, 'pg_dump')} --version",
        "Start PostgreSQL, or correct database_url.",
        "Install the server's version of the client programs, or set pg_bin to their folder.",
        "database_url",
    ),
    Part(
        host.reachable,
        lambda target: f"host {target.describe()['host']}",
        "Correct host; ssh must log in by key, without a question.",
    ),
    Part(
        processes.up,
        lambda target: f"{Processes.of(target).command or Processes.of(target).manager}: list",
        "Start the process manager, or correct [targets.NAME.processes].",
        "Start what is down, or correct [targets.NAME.processes].",
    ),
    Part(
        logs.errors,
        lambda target: ", ".join(Logs.of(target).files),
        "Correct logs.",
        key="logs",
    ),
)


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says of one part."""

    finding: Finding
    tried: str
    fix: str
    """Empty when there is nothing to fix, or when the answer says it."""


def examine(target: Target, config: Config) -> list[Diagnosis]:
    """Return one diagnosis a part of `target`, then those of the configuration; no secret in it."""
    found = Measurement(target).run([part.check for part in PARTS])
    parts = {part.check.name: part for part in PARTS}
    diagnoses = [
        _diagnosis(parts[finding.name], finding, target, config)
        for finding in found
        if finding.name in parts
    ]
    redactor = Redactor(target.secrets | environment_secrets())
    return [
        _redacted(each, redactor)
        for each in (
            *diagnoses,
            *_unverified(target, config),
            *_schedules(target, config),
            *_channels(config),
            *_spooled(config),
            _contacts(config),
        )
    ]


def report(diagnoses: Sequence[Diagnosis]) -> RenderableType:
    """Return the diagnoses for a terminal: status and part, what was tried, the answer, the fix.

    The worst stands last, with its fix. Print it without cropping.
    """
    parts: list[RenderableType] = []
    for each in diagnoses:
        parts.append(Labelled(_status(each), each.finding.title, _BESIDE, "bold"))
        facts = (("tried", each.tried), ("answer", each.finding.message), ("fix", each.fix))
        parts += [Labelled(Text(label, "dim"), words, _BESIDE) for label, words in facts if words]
        # An empty row keeps the parts apart; all in one block is hard to read when tired.
        parts.append(Text())
    return Group(*parts, *_conclusion(diagnoses))


def _conclusion(diagnoses: Sequence[Diagnosis]) -> Iterator[RenderableType]:
    worst = max(diagnoses, key=lambda each: each.finding.status.severity)
    counts = summary([each.finding for each in diagnoses])
    if worst.finding.status in (Status.OK, Status.SKIPPED):
        yield Labelled(_status(worst), f"{counts}.", _BESIDE)
        return
    yield Text(f"{counts}.")
    words = f"{worst.finding.title}: {worst.finding.message}"
    yield Labelled(_status(worst), words, _BESIDE)
    if worst.fix:
        yield Labelled(Text("Next:"), worst.fix, _BESIDE)


def _status(diagnosis: Diagnosis) -> Text:
    status = diagnosis.finding.status
    return Text(status.upper(), TERMINAL_STYLES[status])


def _diagnosis(part: Part, finding: Finding, target: Target, config: Config) -> Diagnosis:
    named = not part.key or target.given(part.key)
    tried = part.tried(target) if named else _place(part.key, target, config)
    return Diagnosis(finding, tried, part.fix(finding, target, config))


def _unverified(target: Target, config: Config) -> list[Diagnosis]:
    """Return a warning where the API's certificate is not verified."""
    if Api.of(target).verify or not Api.of(target).url.startswith("https:"):
        return []
    finding = Finding(
        name="api.certificate",
        title="API certificate",
        status=Status.WARN,
        message="It is not verified, so anyone in between can read and answer the requests.",
    )
    fix = "Name the certificate authority's file as api.ca, and leave api.verify out."
    return [Diagnosis(finding, _place("api.verify", target, config), fix)]


def _redacted(diagnosis: Diagnosis, redactor: Redactor) -> Diagnosis:
    return Diagnosis(
        redactor.result(diagnosis.finding),
        redactor.text(diagnosis.tried),
        redactor.text(diagnosis.fix),
    )


def _schedules(target: Target, config: Config) -> list[Diagnosis]:
    """Return whether the schedules that check `target` run in time; nothing where none does."""
    tried = f"[[schedules]] in {config.path}"
    title = {"name": "schedules", "title": "Schedules"}
    try:
        found = covering(standings(config, Store(config.store), local_now()), target.name)
    except OpsnbError as error:
        finding = Finding(**title, status=Status.UNKNOWN, message=str(error))
        return [Diagnosis(finding, tried, "")]
    if not found:
        return []
    bad = [each for each in found if each.is_late or each.unknown]
    status = Status.OK if not bad else Status.UNKNOWN
    status = Status.WARN if any(each.is_late for each in found) else status
    words = " ".join(each.sentence for each in bad or found)
    missed = [f"{each.schedule.name} {len(each.missed)}" for each in found if each.missed]
    words += f" Runs missed in the last 7 days: {', '.join(missed)}." if missed else ""
    fix = next((each.command for each in bad if each.command), "")
    return [Diagnosis(Finding(**title, status=status, message=words), tried, fix)]


def _channels(config: Config) -> list[Diagnosis]:
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
    return [Diagnosis(finding, f"[[notify]] in {config.path}", fix)]


def _spooled(config: Config) -> list[Diagnosis]:
    """Return a warning where records wait in the spool; nothing where none does."""
    tried, title = f"the spool, {spooled.folder()}", {"name": "records", "title": "Records"}
    try:
        store = Store(config.store)
        waiting, others = recovery.waiting(store), recovery.of_other_stores(store)
    except OpsnbError as error:
        return [Diagnosis(Finding(**title, status=Status.CRIT, message=str(error)), tried, "")]
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
    return [Diagnosis(finding, tried, fix)]


def _contacts(config: Config) -> Diagnosis:
    unknown = [
        contact.role for contact in config.contacts if "TBD" in (contact.name, contact.contact)
    ]
    tried = f"[[contacts]] in {config.path}" if config.path else "[[contacts]], no opsnb.toml"
    if not unknown:
        message = f"All {len(config.contacts)} contacts are named."
        return Diagnosis(_contact_finding(Status.OK, message), tried, "")
    message = f"Still TBD: {', '.join(unknown)}."
    return Diagnosis(
        _contact_finding(Status.WARN, message), tried, "Name them in [[contacts]] of opsnb.toml."
    )


def _contact_finding(status: Status, message: str) -> Finding:
    return Finding(name="contacts", title="Emergency contacts", status=status, message=message)
