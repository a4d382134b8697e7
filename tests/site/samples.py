"""Records and runbooks to build sites from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opsnb.config.target import Target
from opsnb.model import FINDING_MIME, Finding, RunResult, Status, worst
from opsnb.records.members import Member
from opsnb.records.members import notebook as notebook_of
from opsnb.records.store import Store, new_run_id
from opsnb.redaction import Redactor
from opsnb.view.findings import finding_html, headline_html, summary

START = datetime(2026, 11, 23, 7, 15, tzinfo=UTC)
CHART = (
    '<svg viewBox="0 0 400 120" width="400" height="120" role="img" aria-label="Queue depth">'
    '<path d="M10 100 L120 40 L240 70 L390 20" fill="none" stroke="currentColor"/></svg>'
)


def markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def code(source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source.splitlines(keepends=True),
        "execution_count": None,
        "outputs": list(outputs),
    }


def display(html: str, **data: Any) -> dict[str, Any]:
    lines = html.replace("><", ">\n<").splitlines(keepends=True)  # as Jupyter stores text
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": lines, **data}}


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": list(cells),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }


def findings(*, waiting: int = 12, api: bool = True) -> list[Finding]:
    limit = Target(name="demo").threshold("queue_waiting")
    down = Finding(status=Status.CRIT, message="http://127.0.0.1:3001/health refuses connections.")
    up = Finding(status=Status.OK, message="Status 200, median 12 ms.", value=12.0, unit="ms")
    return [
        (up if api else down).model_copy(update={"name": "api.health", "title": "API health"}),
        Finding.measured(
            waiting,
            limit,
            f"{waiting} jobs wait in ai-analysis.",
            rows=[{"queue": "ai-analysis", "waiting": waiting, "active": 3}],
        ).model_copy(update={"name": "queues.depth", "title": "Queue length"}),
        Finding(
            name="host.disk",
            title="Disk space",
            status=Status.OK,
            message="The fullest file system, /, is 41 % full.",
        ),
    ]


def executed(found: list[Finding]) -> dict[str, Any]:
    shown = [
        display(finding_html(one), **{FINDING_MIME: json.loads(one.model_dump_json())})
        for one in found
    ]
    status = worst(one.status for one in found)
    text = {"output_type": "stream", "name": "stdout", "text": "a long line " * 40 + "\n"}
    return notebook(
        markdown("# Daily health check\n\nOnce a day, and first of all in an incident."),
        code('target: TargetName = "demo"', tags=("parameters",)),
        markdown("## Check\n\nLong queues: [Pause a queue](../queues/pause.ipynb)."),
        code("rb.check_all(...)", display(headline_html(status, summary(found))), *shown, text),
        code("rb.chart(...)", display(CHART)),
    )


def keep(  # noqa: PLR0913 - each says one thing about the record
    store: Store,
    found: list[Finding],
    *,
    runbook: str = "health/daily",
    title: str = "Daily health check",
    target: str = "demo",
    minutes: int = 0,
    error: str | None = None,
    cells: dict[str, Any] | None = None,
    fleet: str | None = None,
    parent: str | None = None,
    operator: str = "ada",
) -> str:
    """Keep a record of a run that began `minutes` after START, and return its id."""
    started = START + timedelta(minutes=minutes)
    status = Status.UNKNOWN if error else worst(one.status for one in found)
    result = RunResult(
        run_id=new_run_id(runbook, target, started),
        runbook=runbook,
        title=title,
        runbook_sha256="5f" * 32,
        commit="0123456789abcdef",
        target=target,
        operator=operator,
        host="ops1",
        fleet=fleet,
        parent=parent,
        parameters={"target": target, "lines": 100},
        status=status,
        exit_code=70 if error else status.exit_code,
        error=error,
        findings=found,
        started=started,
        finished=started + timedelta(seconds=4),
        seconds=4.2,
        opsnb_version="0.1.0",
    )
    store.keep(result, cells or executed(found), Redactor())
    return result.run_id


def keep_several(store: Store) -> dict[str, str]:
    """Keep the records of a run of three targets, of which one could not be run."""
    summary = new_run_id("health/daily", "prod-*", START)
    kept = {
        name: keep(store, findings(api=name == "prod-a"), target=name, fleet=summary)
        for name in ("prod-a", "prod-b")
    }
    found = [
        Member(name, result.status, result.exit_code, f"{name} as it is.", result.run_id)
        for name, result in ((name, store.result(run_id)) for name, run_id in kept.items())
    ]
    found.append(Member("prod-c", Status.UNKNOWN, 64, "PROD_C is not set."))
    first = store.result(kept["prod-a"])
    result = first.model_copy(
        update={
            "run_id": summary,
            "target": "prod-*",
            "status": Status.CRIT,
            "exit_code": 2,
            "findings": [member.finding for member in found],
        }
    )
    store.keep(result, notebook_of(result, found), Redactor())
    return {"summary": summary, **kept}


RUNBOOK = notebook(
    markdown(
        "# Daily health check\n\n## When to use\n\nOnce a day, and first of all in an incident.\n\n"
        "If the queues are long, go on with [Pause a queue](../queues/pause.ipynb)."
    ),
    code(
        "from opsnb.params import Samples, TargetName\n\n"
        'target: TargetName = "demo"  # which system, from opsnb.toml\n'
        "samples: Samples = 5  # how often the API is asked",
        tags=("parameters",),
    ),
    markdown("## Check\n\nEverything at the same time."),
    code("rb = Runbook(target)\nrb.check_all(api.health, queues.depth, host.disk)"),
)
RUNBOOK["metadata"]["opsnb"] = {"symptoms": {"not-sure": "Nobody knows what is wrong"}}
PAUSE = notebook(
    markdown(
        "# Pause a queue\n\n## Impact\n\nJobs wait; nothing is lost. "
        "See [daily](../health/daily.ipynb#check)."
    ),
    code(
        "from opsnb.params import Apply, QueueName, TargetName\n\n"
        'target: TargetName = "demo"  # which system\n'
        "queue: QueueName  # the queue to pause\n"
        "apply: Apply = False  # False shows the plan and changes nothing",
        tags=("parameters",),
    ),
)


def write_runbooks(folder: Path) -> None:
    """Write two good runbooks and a broken one under `folder`."""
    for name, content in (("health/daily", RUNBOOK), ("queues/pause", PAUSE)):
        path = folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    (folder / "queues/broken.ipynb").write_text("{ this is no notebook", encoding="utf-8")


def fill(store: Store) -> dict[str, str]:
    """Fill `store` with records of each kind and return their ids by what they are."""
    return {
        "older": keep(store, findings()),
        "newer": keep(store, findings(waiting=140), minutes=60),
        "down": keep(store, findings(api=False), target="staging", minutes=70),
        "broke": keep(
            store,
            [],
            runbook="queues/pause",
            title="Pause a queue",
            minutes=80,
            error="NameError: name 'queue' is not defined, in cell 3.",
        ),
        "unreadable": keep(
            store, findings(), minutes=90, cells={"cells": [{"cell_type": "nonsense"}]}
        ),
    }
