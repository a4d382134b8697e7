"""`opsnb doctor`: can this target be reached, is it complete, is it safe to operate?

Each part says what was tried, what answered, and the mend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsnb.check import Check
from opsnb.measure import Measurement
from opsnb.model import Finding, Status
from opsnb.redaction import Redactor, environment_secrets, safe_url
from opsnb.systems import api, cache, database, host, logs, processes, queues
from opsnb.target import CONFIG_NAME, Config, Target
from opsnb.view import TERMINAL_STYLES


@dataclass(frozen=True)
class Part:
    """One thing that the doctor looks at."""

    check: Check[[]]
    tried: Callable[[Target], str]
    mend: str
    """What to do when it is not ok."""
    key: str = ""
    """The key of the target without which there is nothing to look at."""


def _get(target: Target, path: str) -> str:
    parts = urlsplit(target.api.url)
    parts = parts._replace(path=parts.path.rstrip("/") + path, query="", fragment="")
    return f"GET {safe_url(parts.geturl())}"


PARTS = (
    Part(
        api.health,
        lambda target: _get(target, "/health"),
        "Start the service, or correct api_url.",
        "api_url",
    ),
    Part(
        api.queue_stats,
        lambda target: _get(target, "/api/queue/stats"),
        "Correct queues, or resume what is paused.",
        "api_url",
    ),
    Part(
        cache.ping,
        lambda target: f"PING {target.describe()['redis']}",
        "Start Redis, or correct redis_url.",
        "redis_url",
    ),
    Part(
        cache.eviction,
        lambda _: "INFO memory, maxmemory_policy",
        "CONFIG SET maxmemory-policy noeviction: BullMQ loses jobs under any other.",
        "redis_url",
    ),
    Part(
        queues.depth.given(),
        lambda target: f"BullMQ under the prefix '{target.queues.prefix}'",
        "Correct queues or queue_prefix, or work the queue off.",
        "redis_url",
    ),
    Part(
        database.ping,
        lambda target: f"SELECT 1 on {target.describe()['database']}",
        "Start PostgreSQL, or correct database_url.",
        "database_url",
    ),
    Part(
        database.statements,
        lambda _: "pg_stat_statements",
        "Add pg_stat_statements to shared_preload_libraries, restart PostgreSQL, then "
        "CREATE EXTENSION pg_stat_statements.",
        "database_url",
    ),
    Part(
        database.pg_dump,
        lambda target: f"{database.program(target, 'pg_dump')} --version",
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
        lambda target: f"{target.processes.command or target.processes.manager}: list",
        "Start what is down, or correct [targets.NAME.processes].",
    ),
    Part(
        logs.errors,
        lambda target: ", ".join(target.logs),
        "Read the log, or correct logs.",
        "logs",
    ),
)


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says of one part."""

    finding: Finding
    tried: str
    mend: str
    """Empty when there is nothing to mend."""


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
    return [_redacted(each, redactor) for each in (*diagnoses, _contacts(config))]


def report(diagnoses: Sequence[Diagnosis]) -> RenderableType:
    """Return the diagnoses for a terminal: status and part, what was tried, answered, to mend."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in diagnoses:
        status = each.finding.status
        table.add_row(
            Text(status.upper(), TERMINAL_STYLES[status]), Text(each.finding.title, "bold")
        )
        # An empty row keeps the parts apart; all in one block is hard to read when tired.
        lines = (("tried", each.tried), ("answer", each.finding.message), ("mend", each.mend))
        for label, words in lines:
            if words:
                table.add_row(Text(label, "dim"), Text(words))
        table.add_row()
    return table


def _diagnosis(part: Part, finding: Finding, target: Target, config: Config) -> Diagnosis:
    if finding.status is Status.SKIPPED and finding.caused_by is None:
        # No other part says what is lacking.
        finding = finding.model_copy(update={"status": Status.WARN})
    if part.key and not target.given(part.key):
        tried = f"{part.key} in [targets.{target.name}] of {config.path or CONFIG_NAME}"
        variable = "" if config.path else f", or {part.key.upper()} in the environment"
        mend = f"Set {tried}{variable}."
    else:
        tried, mend = part.tried(target), part.mend
    return Diagnosis(finding, tried, "" if finding.status in (Status.OK, Status.SKIPPED) else mend)


def _redacted(diagnosis: Diagnosis, redactor: Redactor) -> Diagnosis:
    finding = redactor.tree(diagnosis.finding.model_dump(mode="json"))
    return Diagnosis(
        Finding.model_validate(finding),
        redactor.text(diagnosis.tried),
        redactor.text(diagnosis.mend),
    )


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
