"""Packages with newer versions or vulnerabilities: the service's own by npm, the machine's by apt.

Handbook, sections 9.1 and 9.2. They are listed; updating is for people, or for a deployment.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, NotConfigured
from opsnb.model import Finding, Row, Status
from opsnb.systems.deploy.settings import Deploy
from opsnb.systems.host import SYSTEM as HOST
from opsnb.systems.host import Host, ProgramFailed, host_of

SYSTEM = "packages"
_LIMIT_S = 45.0
_NPM_LIMIT_S = 30.0
_SEVERITIES = ("critical", "high", "moderate", "low")
_APT_LISTS = "/var/lib/apt/lists"
_UPGRADABLE = re.compile(
    r"(?m)^(?P<name>[^/\s]+)/(?P<origin>\S+) (?P<new>\S+) \S+ \[upgradable from: (?P<old>[^\]]+)\]"
)


@check(needs=(HOST,), limit_s=_LIMIT_S, treated_by="update the packages in a maintenance window")
def npm(target: Target) -> Finding:
    """Outdated packages of the service"""
    outdated = _npm(target, "outdated")
    rows: list[Row] = [
        {
            "package": name,
            "current": versions.get("current"),
            "wanted": versions.get("wanted"),
            "latest": versions.get("latest"),
        }
        for name, versions in sorted(outdated.items())
        if isinstance(versions, dict)
    ]
    return _counted(len(rows), "packages of the service have newer versions", rows)


@check(needs=(HOST,), limit_s=_LIMIT_S, treated_by="update the packages in a maintenance window")
def debian(target: Target) -> Finding:
    """Outdated packages of the machine

    By the lists that apt has; opsnb does not update them.
    """
    rows = parse_apt(_apt(host_of(target, SYSTEM, _LIMIT_S)))
    urgent = sum(bool(row["security"]) for row in rows)
    finding = _counted(len(rows), "packages of the machine have newer versions", rows)
    if not urgent:
        return finding
    message = f"{finding.message} {urgent} of them are security updates."
    return finding.model_copy(update={"status": Status.WARN, "message": message})


@check(needs=(HOST,), limit_s=_LIMIT_S, treated_by="update the packages in a maintenance window")
def npm_security(target: Target) -> Finding:
    """Packages of the service with known vulnerabilities"""
    rows = parse_audit(_npm(target, "audit"))
    if not rows:
        message = "No package of the service has a known vulnerability."
        return Finding(status=Status.OK, message=message, value=0, unit="packages")
    counts = Counter(row["severity"] for row in rows)
    words = ", ".join(f"{count} {severity}" for severity, count in counts.items())
    return Finding(
        status=Status.WARN,
        message=f"Known vulnerabilities in packages of the service: {words}.",
        value=len(rows),
        unit="packages",
        rows=rows,
    )


@check(needs=(HOST,), limit_s=_LIMIT_S, treated_by="update the packages in a maintenance window")
def debian_security(target: Target) -> Finding:
    """Security updates of the machine

    By the lists that apt has; opsnb does not update them. When they are old, newer updates are not
    known.
    """
    host = host_of(target, SYSTEM, _LIMIT_S)
    rows = [row for row in parse_apt(_apt(host)) if row.pop("security")]
    if rows:
        return _counted(
            len(rows), "packages of the machine have security updates", rows
        ).model_copy(update={"status": Status.WARN})
    if not any("_Packages" in name for name in host.names_in(_APT_LISTS)):
        raise BadAnswer(SYSTEM, f"apt on {host.name} has no lists of packages: sudo apt update.")
    fetched = float(host.run(["stat", "-c", "%Y", _APT_LISTS]))
    age_days = (host.clock()[0].timestamp() - fetched) / 86_400
    if age_days > target.limit("apt_lists_days"):
        raise BadAnswer(
            SYSTEM,
            f"apt's lists on {host.name} are {age_days:.0f} days old, so newer updates are "
            "not known: sudo apt update, then check again.",
        )
    return _counted(0, "packages of the machine have security updates", rows)


def parse_audit(audit: dict[str, Any]) -> list[Row]:
    """Return what `npm audit --json` reports (npm 7 or newer), the worst first.

    Raises BadAnswer when it is of another shape.
    """
    vulnerabilities = audit.get("vulnerabilities")
    if not isinstance(vulnerabilities, dict):
        raise BadAnswer(SYSTEM, "`npm audit` did not list vulnerabilities: npm 7 is needed.")
    rows: list[Row] = [
        {
            "package": name,
            "severity": package["severity"],
            "versions": package.get("range"),
            "vulnerability": _vulnerability(package),
            "direct": bool(package.get("isDirect")),
            "fix": _fix(package.get("fixAvailable")),
        }
        for name, package in vulnerabilities.items()
    ]
    return sorted(rows, key=lambda row: (_rank(row["severity"]), row["package"]))


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)


def _vulnerability(package: dict[str, Any]) -> str:
    """Return what the vulnerability is; for one that only comes from others, their names."""
    reasons = [
        via["title"] if isinstance(via, dict) else f"by {via}" for via in package.get("via", [])
    ]
    return "; ".join(dict.fromkeys(reasons))


def _fix(fix: Any) -> str:
    """Return which version fixes it, as `fixAvailable` says: true, false or a package."""
    if isinstance(fix, dict):
        major = " (breaking)" if fix.get("isSemVerMajor") else ""
        return f"{fix.get('name')} {fix.get('version')}{major}"
    return "npm audit fix" if fix else "none yet"


def _apt(host: Host) -> str:
    return host.run(["env", "LC_ALL=C", "apt", "list", "--upgradable"], _NPM_LIMIT_S)


def parse_apt(text: str) -> list[Row]:
    """Return what `apt list --upgradable` prints, security updates first."""
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


def _npm(target: Target, word: str) -> dict[str, Any]:
    """Return the JSON of npm, which exits with 1 when it reports something.

    Raises BadAnswer with the fix when npm failed, which it reports in JSON too.
    """
    folder = Deploy.of(target).folder
    if not folder:
        raise NotConfigured(
            SYSTEM,
            f"Target {target.name} does not say where its service is: set folder in "
            f"[targets.{target.name}.deploy].",
        )
    host = host_of(target, SYSTEM, _LIMIT_S)
    try:
        printed = host.run_in(folder, ["npm", word, "--json"], _NPM_LIMIT_S)
    except ProgramFailed as error:
        printed = error.output
        if not printed.strip():
            raise
    try:
        answer = json.loads(printed or "{}")
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BadAnswer(SYSTEM, f"`npm {word}` in {folder} printed no JSON.")
    if "error" in answer:
        raise BadAnswer(SYSTEM, f"`npm {word}` in {folder} failed: {_complaint(answer)}")
    return answer


def _complaint(answer: dict[str, Any]) -> str:
    """Return why npm failed, in its own words, and what fixes it."""
    reported = answer["error"]
    error: dict[str, Any] = reported if isinstance(reported, dict) else {"summary": reported}
    if error.get("code") == "ENOLOCK":
        return "there is no lock file; npm install --package-lock-only makes one."
    # A registry that does not respond is reported beside the error, whose summary is empty.
    words = error.get("summary") or answer.get("message") or "it does not say why"
    first = str(words).strip().splitlines()[0].rstrip(".")
    return f"{first}; see whether the registry that `npm config get registry` names answers it."


def _counted(count: int, words: str, rows: list[Row]) -> Finding:
    return Finding(
        status=Status.OK,
        message=f"{count or 'No'} {words}.",
        value=count,
        unit="packages",
        rows=rows,
    )
