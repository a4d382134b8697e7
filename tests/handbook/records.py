"""Records of a target's past, as real runs leave them, for what reads them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from opsnb.model import ActionRecord, Finding, RunResult, Status, worst


def keep(  # noqa: PLR0913 - a record has many facts
    at: datetime,
    *findings: Finding,
    runbook: str = "health/daily",
    target: str = "demo",
    exit_code: int | None = None,
    actions: Sequence[ActionRecord] = (),
    seconds: float = 1,
) -> None:
    """Leave the record of a run that began at `at`, in the test's own store."""
    status = worst(finding.status for finding in findings) if findings else Status.OK
    run_id = f"{at:%Y%m%dT%H%M%SZ}-{runbook.replace('/', '.')}-{target}-{secrets.token_hex(2)}"
    result = RunResult(
        run_id=run_id,
        runbook=runbook,
        runbook_sha256="0" * 64,
        target=target,
        operator="anna",
        host="here",
        parameters={},
        status=status,
        exit_code=status.exit_code if exit_code is None else exit_code,
        findings=[finding.model_copy(update={"started": at}) for finding in findings],
        actions=list(actions),
        started=at,
        finished=at + timedelta(seconds=seconds),
        seconds=seconds,
        opsnb_version="0",
    )
    folder = Path(os.environ["OPSNB_RECORDS"], f"{at:%Y/%m}", run_id)
    folder.mkdir(parents=True)
    folder.joinpath("result.json").write_text(result.model_dump_json())
