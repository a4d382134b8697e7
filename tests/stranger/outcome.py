"""What came of a runbook on one combination, and what the page says of it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from opsnb.model import ActionState, RunResult, Status
from tests.stranger.combination import Combination

_RESULTS = Path(__file__).with_name("results")

RECORDING = "OPSNB_STRANGER_RECORD"
"""With this in the environment the tests write what they found, in place of comparing it."""


_MISSES = ("cold", "expiring", "evicted", "never_there")
BY_LUCK = frozenset(
    {"cache.hit_rate", *(f"misses.{cause}" for cause in _MISSES), "backlog.no_worker"}
)
"""Known in some moments, whatever the login may see: few reads, a job in a worker's hands."""


@dataclass(frozen=True)
class Outcome:
    """What came of one runbook."""

    lacks: dict[str, str] = field(default_factory=dict)
    """What could not be seen, by the check's name, and why."""
    refused: str = ""
    """Why nothing was done; empty when it was, or when there was nothing to do."""

    @property
    def facts(self) -> tuple[list[str], bool]:
        """What must be so again: the words may change."""
        return sorted(self.lacks.keys() - BY_LUCK), bool(self.refused)


Outcomes = dict[str, Outcome]
"""Of each runbook."""


def outcome_of(result: RunResult, folder: Path) -> Outcome:
    """Return what came of a run."""
    lacks: dict[str, str] = {}
    stopped = (ActionState.FAILED, ActionState.REFUSED)
    reasons = {
        action.name: action.error or action.summary
        for action in result.actions
        if action.state in stopped
    }
    for finding in result.findings:
        if finding.name in reasons:
            continue
        if finding.status is Status.UNKNOWN or finding.evidence.gaps:
            why = "; ".join(finding.evidence.gaps) or finding.message
            lacks[finding.name] = _plain(why, folder)
    refused = list(reasons.values()) or [result.error or ""]
    return Outcome(lacks, _plain(" ".join(refused), folder))


def _plain(reason: str, folder: Path) -> str:
    """Return a reason without what differs from run to run."""
    reason = re.sub(r"(\w+)://\S*[\w/]", r"\1://...", reason.replace(str(folder), ""))
    reason = re.sub(r"127\.0\.0\.1:\d+", "the server", reason)
    return re.sub(r"\b\d{4}-\d\d-\d\d[T ][\d:]+(Z| UTC)?", "TIME", reason)


def compare(of: Combination, kind: str, found: Outcomes) -> list[str]:
    """Return where `found` differs from the committed results, which are written when recording."""
    path = _path(of, kind)
    if os.environ.get(RECORDING):
        _RESULTS.mkdir(exist_ok=True)
        tables = {runbook: asdict(found[runbook]) for runbook in sorted(found)}
        path.write_text(json.dumps(tables, indent=1, ensure_ascii=False) + "\n")
        return []
    known = committed(of, kind)
    return [
        f"{runbook}: found {outcome}, the page says {was}; if that is right: make compatibility"
        for runbook, outcome in found.items()
        if (was := known.get(runbook)) is None or was.facts != outcome.facts
    ]


def committed(of: Combination, kind: str) -> Outcomes:
    """Return the committed results of one combination."""
    known = json.loads(_path(of, kind).read_text())
    return {runbook: Outcome(**table) for runbook, table in known.items()}


def _path(of: Combination, kind: str) -> Path:
    return _RESULTS / f"{of.name}-{kind}.json"
