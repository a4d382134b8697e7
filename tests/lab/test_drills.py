"""Drills in a real JupyterLab, by somebody who follows only what stands on the page.

Nothing is typed: the runbook is chosen by its symptom, the finding on top names the next one, its
link carries the target and the parameters, and the bar above the notebook lets it act.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from opsnb.config.file import load_config
from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.model import ActionState, RunResult
from opsnb.records.store import Store
from tests.lab.jupyterlab import (
    bar,
    front,
    is_open,
    is_run,
    jupyterlab,
    run_all,
    save,
    screenshot,
    shown,
    until,
)


@pytest.fixture
def page(demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    with jupyterlab(tmp_path / "log", "lab") as lab, shown(lab) as page:
        yield page


def alarms(page: Page) -> Locator:
    """Return the findings that are not well, the worst on top."""
    badge = page.locator("span", has_text="CRIT").or_(page.locator("span", has_text="WARN"))
    return front(page).locator(".opsnb-finding").filter(has=badge)


def diagnose(page: Page, symptom: str, runbook: str) -> None:
    """Open the runbook that stands beside the symptom on the first page, and run it."""
    page.get_by_role("tab", name="Start.md").click()
    beside = front(page).locator("tr, p").filter(has_text=symptom)
    title = beside.first.get_by_role("link").first
    expect(title).to_have_text(runbook)
    title.click()
    is_open(page, runbook[0].upper() + runbook[1:])
    run_all(page)
    is_run(page)


def treat(page: Page) -> None:
    """Follow the first link of the finding on top, read the plan, and let it act."""
    next_one = alarms(page).filter(has=page.get_by_role("link")).first.get_by_role("link").first
    runbook, before = next_one.inner_text(), page.get_by_role("tab").count()
    next_one.click()
    expect(page.get_by_role("tab")).to_have_count(before + 1)
    stem = runbook.split("/")[1]
    expect(page.locator(".lm-TabBar-tab.jp-mod-current").first).to_contain_text(stem)
    expect(bar(page)).to_contain_text("Target: demo")
    expect(bar(page)).to_contain_text("DRY RUN")
    run_all(page)
    is_run(page)
    expect(front(page).locator(".opsnb-action", has_text="PLANNED").first).to_be_visible()
    bar(page).get_by_role("button", name="Let it act").click()
    expect(bar(page)).to_contain_text("ARMED")
    run_all(page)
    is_run(page)
    expect(front(page).locator(".opsnb-action", has_text=", verified").first).to_be_visible()
    save(page)


def the_record(runbook: str) -> RunResult:
    """Return the record of the run that acted."""

    def found() -> RunResult | None:
        results = Store(load_config().store).results(runbook=runbook)
        return next((each for each in results if any(act.applied for act in each.actions)), None)

    return until(found)


@pytest.mark.parametrize(
    ("fault", "symptom", "runbook", "cause", "treated_by"),
    [
        (
            "queue-paused",
            "Not sure?",
            "daily health check",
            "api.queue_stats",
            "queues/resume",
        ),
        (
            "cold-cache",
            "Fewer than 70 % of reads hit the cache",
            "High cache miss rate",
            "misses.cold",
            "cache/warm_up",
        ),
        (
            "blocked-table",
            "The API takes longer than 500 ms",
            "Slow queries",
            "slowness.blocked",
            "troubleshooting/slow_queries",
        ),
    ],
)
def test_a_drill_is_played_by_what_stands_on_the_page(  # noqa: PLR0913, PLR0917 - the table's columns
    page: Page, fault: str, symptom: str, runbook: str, cause: str, treated_by: str
) -> None:
    with ThreadPoolExecutor(1) as aside:  # playwright's own loop runs here
        aside.submit(faults.inject, fault).result()
    diagnose(page, symptom, runbook)
    found = alarms(page).filter(has_text=cause)
    expect(found.first).to_be_visible()
    screenshot(page, f"drill-{fault}.png", height=1200)
    treat(page)
    screenshot(page, f"drill-{fault}-treated.png", height=1200)
    (acted,) = [action for action in the_record(treated_by).actions if action.applied]
    assert (acted.state, acted.verified) == (ActionState.APPLIED, True)
    diagnose(page, symptom, runbook)
    expect(front(page).locator(".opsnb-finding").first).to_be_visible()
    expect(found).to_have_count(0)
