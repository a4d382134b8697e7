"""A process that writes records into a store, as fast as it can, until it is killed or done.

`python -m tests.records.writers STORE COUNT` prints the run id of each record once it is kept. It
imports little, as it is started often.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from opsnb.model import FINDING_MIME, Finding, RunResult, Status
from opsnb.records.store import Store, new_run_id
from opsnb.records.written import notebook
from opsnb.redaction import Redactor

START = datetime(2026, 11, 23, 7, 15, tzinfo=UTC)


def main(url: str, count: int) -> None:
    """Write `count` records."""
    store, redactor = Store(url), Redactor()
    for number in range(count):
        result = _result(START + timedelta(seconds=number))
        shown = [{FINDING_MIME: finding.model_dump(mode="json")} for finding in result.findings]
        store.keep(result, notebook("# Health", "rb.check(api.health)", shown), redactor)
        sys.stdout.write(f"{result.run_id}\n")
        sys.stdout.flush()


def _result(started: datetime) -> RunResult:
    finding = Finding(name="api.health", status=Status.OK, message="Fine.", started=started)
    return RunResult(
        run_id=new_run_id("health/daily", "demo", started),
        runbook="health/daily",
        runbook_sha256="0" * 64,
        target="demo",
        operator="ann",
        host="ops1",
        parameters={"target": "demo"},
        status=Status.OK,
        exit_code=0,
        findings=[finding],
        started=started,
        finished=started + timedelta(seconds=2),
        seconds=2.0,
        opsnb_version="0.1.0",
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
