"""Past runs, as the records tell of them: what was measured, and what was done.

Only results are read, never notebooks: a runbook that compares itself with earlier runs is not to
wait for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec

from opsnb.config.target import Target, load_config
from opsnb.records import stored

DEPLOY, ROLLBACK = "deployment/deploy", "deployment/rollback"
"""The runbooks whose records tell which release was there when."""
CHECKLIST = "deployment/pre_deploy"
"""The runbook whose record lets a deployment begin."""


def results(
    target: Target, since: float, runbooks: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the `result.json` of the runs on `target` that began after `since`, the oldest first.

    `since` is in seconds since 1970; without `runbooks`, the runs of all of them. What cannot be
    read is passed over, also a whole store: without records nothing is known, and that is said by
    whoever asks.
    """
    try:
        yield from _results(target, datetime.fromtimestamp(since, UTC), runbooks)
    except (OSError, ImportError):
        return


def _results(
    target: Target, since: datetime, runbooks: Collection[str]
) -> Iterator[dict[str, Any]]:
    files, root = fsspec.core.url_to_fs(load_config().store)
    # A run's id begins with its time and ends with its target and four digits.
    earliest, ending = f"{since:%Y%m%dT%H%M%SZ}", f"-{target.name}-"
    wanted = [f"-{runbook.replace('/', '.')}{ending}" for runbook in runbooks] or [ending]
    for month in _months(since):
        folder = f"{root}/{month}"
        paths = files.ls(folder, detail=False) if files.isdir(folder) else ()
        for name in sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths):
            if (
                name >= earliest
                and stored.RUN_ID.fullmatch(name)
                and any(part in name for part in wanted)
            ):
                with suppress(OSError, ValueError):
                    path = f"{folder}/{name}/{stored.RESULT}"
                    data = stored.read(files, path, stored.RESULT_LIMIT)
                    yield stored.result(data, name).model_dump(mode="json")


def _months(since: datetime) -> list[str]:
    """Return the folders, `YYYY/MM`, of the months from `since` to this one."""
    month, now = since.replace(day=1), datetime.now(UTC)
    found = []
    while month <= now:
        found.append(f"{month:%Y/%m}")
        month = (month + timedelta(days=31)).replace(day=1)
    return found
