"""`opsnb doctor`: can this target be reached, is it complete, is it safe to operate?

Each part says what was tried, what answered, and the mend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsnb.check import Check
from opsnb.measure import Measurement
from opsnb.model import Finding, Status
from opsnb.systems import api, cache, database, host, logs, processes, queues
from opsnb.target import Config, Target
from opsnb.view import TERMINAL_STYLES


@dataclass(frozen=True)
class Part:
    """One thing that the doctor looks at."""

    check: Check[[]]
    tried: Callable[[Target], str]
    mend: str
    """What to do when it is not ok."""


PARTS = (
    Part(
        api.health,
        lambda target: f"GET {target.describe()['api']}/health",
        "Start the service, or correct api_url.",
    ),
    Part(
        api.queue_stats,
        lambda target: f"GET {target.describe()['api']}/api/queue/stats",
        "Correct queues, or resume what is paused.",
    ),
    Part(
        cache.ping,
        lambda target: f"PING {target.describe()['redis']}",
        "Start Redis, or correct redis_url.",
    ),
    Part(
        cache.eviction,
        lambda _: "INFO memory, maxmemory_policy",
        "CONFIG SET maxmemory-policy noeviction: BullMQ loses jobs under any other.",
    ),
    Part(
        queues.depth.given(),
        lambda target: f"BullMQ under the prefix '{target.queue_prefix}'",
        "Correct queues or queue_prefix, or work the queue off.",
    ),
    Part(
        database.ping,
        lambda target: f"SELECT 1 on {target.describe()['database']}",
        "Start PostgreSQL, or correct database_url.",
    ),
    Part(
        database.statements,
        lambda _: "pg_stat_statements",
        "Add pg_stat_statements to shared_preload_libraries, restart PostgreSQL, then "
        "CREATE EXTENSION pg_stat_statements.",
    ),
    Part(
        database.pg_dump,
        lambda target: f"{database.program(target, 'pg_dump')} --version",
        "Install the server's version of the client programs, or set pg_bin to their folder.",
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
    """Return one diagnosis a part of `target`, then those of the configuration."""
    found = Measurement(target).run([part.check for part in PARTS])
    parts = {part.check.name: part for part in PARTS}
    diagnoses = [
        Diagnosis(
            finding,
            parts[finding.name].tried(target),
            "" if finding.status in (Status.OK, Status.SKIPPED) else parts[finding.name].mend,
        )
        for finding in found
        if finding.name in parts
    ]
    return [*diagnoses, _contacts(config)]


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
