"""When a target was deployed, as the records of the deployment runbooks have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec

from opsnb.target import Target, load_config

DEPLOY, ROLLBACK = "deployment/deploy", "deployment/rollback"
_LONGEST = timedelta(hours=6)  # that a deployment may have been under way


@dataclass(frozen=True)
class Deployment:
    """One that changed something."""

    runbook: str
    run_id: str
    began: float
    """In seconds since 1970, as `ended`."""
    ended: float

    @property
    def is_rollback(self) -> bool:
        """Whether it went back."""
        return self.runbook == ROLLBACK


def deployments(target: Target, since: float) -> list[Deployment]:
    """Return the deployments and rollbacks that ended after `since`, the oldest first.

    Records that cannot be read are passed over: without them nothing is known of a deployment.
    """
    try:
        found = [_deployment(result) for result in _results(target, since)]
    except (OSError, ImportError):
        return []
    known = [each for each in found if each and each.ended >= since]
    return sorted(known, key=lambda each: each.began)


def _results(target: Target, since: float) -> Iterator[dict[str, Any]]:
    files, root = fsspec.core.url_to_fs(load_config().store)
    earliest = datetime.fromtimestamp(since, UTC) - _LONGEST
    wanted = [f"-{runbook.replace('/', '.')}-{target.name}-" for runbook in (DEPLOY, ROLLBACK)]
    for month in _months(earliest):
        folder = f"{root}/{month}"
        for path in files.ls(folder, detail=False) if files.isdir(folder) else ():
            name = str(path).rstrip("/").rpartition("/")[2]
            if name >= f"{earliest:%Y%m%dT%H%M%SZ}" and any(part in name for part in wanted):
                try:
                    yield json.loads(files.cat_file(f"{folder}/{name}/result.json"))
                except (OSError, ValueError):
                    continue


def _months(since: datetime) -> list[str]:
    """Return the folders, `YYYY/MM`, of the months from `since` to this one."""
    month, now = since.replace(day=1), datetime.now(UTC)
    found = []
    while month <= now:
        found.append(f"{month:%Y/%m}")
        month = (month + timedelta(days=31)).replace(day=1)
    return found


def _deployment(result: dict[str, Any]) -> Deployment | None:
    """Return the deployment that a record tells of; None when it has changed nothing."""
    if not any(action.get("applied") for action in result.get("actions", [])):
        return None
    began, ended = (
        datetime.fromisoformat(result[key]).timestamp() for key in ("started", "finished")
    )
    return Deployment(result["runbook"], result["run_id"], began, ended)
