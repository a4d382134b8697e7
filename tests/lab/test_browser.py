"""An engineer steps through runbooks in JupyterLab, in a real browser."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.config.places import state_home
from opsnb.config.target import Target
from opsnb.model import ActionState, RunResult, Status
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from tests.lab.jupyterlab import add_cell, jupyterlab, opsnb, run_all, screenshot, shown, until

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _own_settings(demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))


def store() -> Store:
    return Store(load_config().store)


def originals() -> dict[str, str]:
    files = catalog.share("notebooks").rglob("*")
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()
    }


def the_record(of_cells: int) -> RunResult | None:
    """Return the only record as soon as it shows so many findings."""
    found = list(store().results())
    return found[0] if found and len(found[0].findings) >= of_cells else None


def recorded() -> str:
    """Return what the notebook of the only record holds, as text."""
    (result,) = store().results()
    return json.dumps(store().notebook(result.run_id))


def test_a_runbook_is_stepped_through_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    before = originals()
    opening = ("open", "health/daily", "-t", "demo", "-p", "hours=90m")
    with jupyterlab(tmp_path / "log", *opening) as lab, shown(lab) as page:
        notebook = page.locator(".jp-Notebook")
        expect(notebook.get_by_text("hours: Hours = 1.5")).to_be_visible()
        run_all(page)
        findings = notebook.locator(".opsnb-finding")
        expect(findings).to_have_count(14)
        # One may warn, of the busy machine or of what other tests have left in the log.
        expect(notebook.locator(".opsnb-headline")).to_contain_text(re.compile("1[34] ok"))
        expect(findings.locator("svg").first).to_be_visible()
        expect(notebook.locator("table", has_text="cache.ping").last).to_be_visible()
        charts = notebook.locator(".opsnb-charts figure svg")
        expect(charts).to_have_count(4)
        expect(charts.first).to_be_visible()
        expect(page.get_by_text("Recorded as")).to_be_visible()
        result = until(lambda: the_record(of_cells=14))
        assert (result.trigger, result.open) == ("interactive", True)
        assert result.parameters == {"target": "demo", "hours": 1.5, "samples": 10}
        assert page.locator("text=Traceback").count() == 0
        assert page.locator("text=Jupyter news").count() == 0
        screenshot(page, "jupyterlab.png", height=3300)

        add_cell(page, "import os; print('the password is', os.environ['MAIL_PASSWORD'])")
        expect(notebook.get_by_text(SECRET)).to_be_visible()
        page.keyboard.press("Control+s")
        until(lambda: "the password is [redacted]" in recorded())
        assert store().result("latest").run_id == result.run_id
        assert lab.end(signal.SIGINT) == 0
    (ended,) = store().results()
    assert f"Recorded: {ended.status} health/daily on demo, {result.run_id}" in lab.told
    assert (ended.open, ended.error, ended.exit_code) == (False, None, ended.status.exit_code)
    assert ended.status in (Status.OK, Status.WARN)
    assert originals() == before
    assert ended.runbook_sha256 in before.values()
    kept = [*Path(store().url).rglob("*"), *(state_home() / "running").rglob("*")]
    assert not any(SECRET in file.read_text() for file in kept if file.is_file())
    assert not list((state_home() / "running").glob("*/"))


def test_the_launcher_leads_to_a_runbook_by_its_symptom(tmp_path: Path) -> None:
    with jupyterlab(tmp_path / "log", "lab") as lab, shown(lab) as page:
        launcher = page.locator(".jp-RenderedMarkdown")
        symptom = launcher.locator("tr", has_text="The service is slow, an alert names Redis")
        expect(symptom).to_be_visible()
        screenshot(page, "launcher.png")
        symptom.get_by_role("link", name="Cache health").click()
        notebook = page.locator(".jp-Notebook")
        expect(notebook.get_by_role("heading", name="Cache health")).to_be_visible()
        expect(page.get_by_text("| Idle")).to_be_visible()
        page.keyboard.press("Control+s")
        expect(page.get_by_text("Saving completed")).to_be_visible()
        assert list(store().results()) == []  # looking leaves no record

        run_all(page)
        expect(notebook.locator(".opsnb-headline")).to_be_visible()
        result = until(lambda: the_record(of_cells=8))  # saved by JupyterLab itself
        assert (result.runbook, result.target, result.open) == ("cache/health", "demo", True)
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
        until(lambda: not store().result("latest").open)


def test_acting_locks_the_target_and_is_told_even_when_jupyterlab_is_killed(
    tmp_path: Path,
) -> None:
    exports = ("-t", "demo", "-p", "queue=exports", "--apply")
    with jupyterlab(tmp_path / "log", "open", "queues/pause", *exports) as lab, shown(lab) as page:
        until(lambda: list(Path(store().url).glob(".locks/demo.json")))
        refused = opsnb("run", "queues/resume", *exports)
        assert refused.returncode == 75
        assert "queues/pause" in refused.stderr
        assert opsnb("open", "queues/resume", *exports).returncode == 75
        run_all(page)
        expect(page.locator(".jp-Notebook .jp-OutputArea").get_by_text("APPLIED")).to_be_visible()
        lab.end(signal.SIGKILL)
    until(lambda: reap(store()))
    (killed,) = store().results()
    assert [action.state for action in killed.actions] == [ActionState.APPLIED]
    assert (killed.open, killed.exit_code) == (False, 70)
    assert "JupyterLab was killed" in (killed.error or "")
    assert opsnb("run", "queues/resume", *exports, "--wait", "30").returncode == 0


def test_a_record_that_cannot_be_written_costs_no_save(tmp_path: Path) -> None:
    place = Path(store().url)
    opening = ("open", "cache/health", "-t", "demo")
    with jupyterlab(tmp_path / "log", *opening) as lab, shown(lab) as page:
        expect(page.get_by_text("seconds: Window = 2").last).to_be_visible()
        place.rename(tmp_path / "aside")
        place.write_text("a file where the store should be")
        run_all(page)
        warning = page.locator(".opsnb-bar").get_by_role("alert")
        expect(warning).to_contain_text("is saved, but its record is not")
        expect(warning).to_contain_text("set OPSNB_RECORDS to another")
        screenshot(page, "unwritable.png")
        (copy,) = (state_home() / "lab").glob("*/cache/health.ipynb")
        assert "cache.ping" in copy.read_text()
        assert page.get_by_text("File Save Error").count() == 0

        place.unlink()
        add_cell(page, "1 + 1")
        expect(page.get_by_text("is up to date again")).to_be_visible()
        expect(warning).to_have_count(0)
        until(lambda: the_record(of_cells=8))
