"""Packages that have newer versions: the service's own by npm, the machine's by apt.

Handbook, section 9.1. They are listed; updating is for people, or for a deployment.
"""

from __future__ import annotations

import json
import re
from typing import Any

from opsnb.check import check
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Finding, Row, Status
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import ProgramFailed, host_of
from opsnb.target import Target

SYSTEM = "packages"
_LIMIT_S = 45.0
_NPM_LIMIT_S = 30.0
_UPGRADABLE = re.compile(
    r"(?m)^(?P<name>[^/\s]+)/(?P<origin>\S+) (?P<new>\S+) \S+ \[upgradable from: (?P<old>[^\]]+)\]"
)


@check(needs=(HOST,), limit_s=_LIMIT_S)
def npm(target: Target) -> Finding:
    """Outdated packages of the service"""
    found = _npm(target, "outdated")
    rows: list[Row] = [
        {
            "package": name,
            "current": each.get("current"),
            "wanted": each.get("wanted"),
            "latest": each.get("latest"),
        }
        for name, each in sorted(found.items())
        if isinstance(each, dict)
    ]
    return _told(len(rows), "packages of the service have newer versions", rows)


@check(needs=(HOST,), limit_s=_LIMIT_S)
def debian(target: Target) -> Finding:
    """Outdated packages of the machine

    By the lists that apt has; they are not fetched anew.
    """
    said = host_of(target, SYSTEM, _LIMIT_S).run(
        ["env", "LC_ALL=C", "apt", "list", "--upgradable"], _NPM_LIMIT_S
    )
    rows = parse_apt(said)
    urgent = sum(bool(row["security"]) for row in rows)
    finding = _told(len(rows), "packages of the machine have newer versions", rows)
    if not urgent:
        return finding
    message = f"{finding.message} {urgent} of them mend security."
    return finding.model_copy(update={"status": Status.WARN, "message": message})


def parse_apt(text: str) -> list[Row]:
    """Return what `apt list --upgradable` prints, those that mend security first."""
    rows: list[Row] = [
        {
            "package": match["name"],
            "current": match["old"],
            "latest": match["new"],
            "security": "-security" in match["origin"],
        }
        for match in _UPGRADABLE.finditer(text)
    ]
    return sorted(rows, key=lambda row: not row["security"])


def _npm(target: Target, *words: str) -> dict[str, Any]:
    """Return what npm says in JSON; it exits with 1 when it has something to tell."""
    folder = target.deploy.folder
    if not folder:
        raise NotConfigured(
            SYSTEM,
            f"Target {target.name} does not say where its service is: set folder in "
            f"[targets.{target.name}.deploy].",
        )
    host = host_of(target, SYSTEM, _LIMIT_S)
    try:
        said = host.run_in(folder, ["npm", *words, "--json"], _NPM_LIMIT_S)
    except ProgramFailed as error:
        said = error.output
        if not said.strip():
            raise
    try:
        found = json.loads(said or "{}")
    except ValueError:
        raise BadAnswer(SYSTEM, f"`npm {words[0]}` did not answer in JSON.") from None
    if not isinstance(found, dict) or "error" in found:
        why = found.get("error", {}) if isinstance(found, dict) else {}
        summary = why.get("summary", "") if isinstance(why, dict) else str(why)
        raise BadAnswer(SYSTEM, f"`npm {words[0]}` failed: {summary or 'it does not say why'}")
    return found


def _told(count: int, words: str, rows: list[Row]) -> Finding:
    return Finding(
        status=Status.OK,
        message=f"{count or 'No'} {words}.",
        value=count,
        unit="packages",
        rows=rows,
    )
