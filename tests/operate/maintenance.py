"""Scenarios of the maintenance runbooks."""

from __future__ import annotations

import os
import time
from pathlib import Path

from opsnb.model import RunResult, Status
from opsnb.target import Target
from tests.operate import Scenario
from tests.operate.queues import found

_OLD_S = 40 * 86_400


def old_log(target: Target) -> Path:
    return Path(target.logs[0]).with_name("drill-old.log")


def an_old_log(target: Target) -> None:
    path = old_log(target)
    path.write_text("nobody reads this\n")
    os.utime(path, (time.time() - _OLD_S,) * 2)


def all_was_cleaned(target: Target, result: RunResult) -> None:
    done = {action.name: action for action in result.actions}
    assert done["logs.clear"].applied == 1
    assert not old_log(target).exists()
    assert Path(target.logs[0]).exists()
    assert done["database.analyze"].verified
    assert all(action.verified is not False for action in result.actions)
    assert found(result)["host.disk"].status is Status.OK


SCENARIOS = {
    "maintenance/weekly": Scenario(all_was_cleaned, {"packages": "false"}, an_old_log),
}
