"""An engineer steps through a runbook in JupyterLab, in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from opsnb import catalog
from opsnb.target import Target
from tests.browser import chromium

PATIENCE_MS = 120_000  # JupyterLab starts slowly on a busy machine
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def lab_url(demo: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address, with its token, of a JupyterLab that `opsnb lab` opened."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    log = tmp_path / "lab.log"
    options = ["--no-browser", "--port=0", "--allow-root"]
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "opsnb", "lab", *options],
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _address(process, log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while True:
        found = re.search(
            r"http://(?:localhost|127\.0\.0\.1):\d+/lab/tree/health/daily.ipynb\?token=\w+",
            log.read_text(),
        )
        if found:
            return found[0]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)


def test_the_daily_check_runs_in_jupyterlab(lab_url: str, tmp_path: Path) -> None:
    before = catalog.runbook("health/daily").path.read_bytes()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(lab_url)
        notebook = page.locator(".jp-Notebook")
        expect(notebook.get_by_role("heading", name="Daily health check")).to_be_visible()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

        findings = notebook.locator(".opsnb-finding")
        expect(findings).to_have_count(13)
        expect(notebook.locator(".opsnb-headline")).to_contain_text("13 ok")
        expect(findings.locator("svg").first).to_be_visible()
        expect(notebook.locator("table", has_text="cache.ping").last).to_be_visible()
        charts = notebook.locator(".opsnb-charts figure svg")
        expect(charts).to_have_count(4)
        expect(charts.first).to_be_visible()
        assert page.locator("text=Traceback").count() == 0
        assert page.locator("text=Jupyter news").count() == 0
        if shot := os.environ.get("OPSNB_SCREENSHOTS"):
            page.set_viewport_size({"width": 1280, "height": 3300})
            page.wait_for_timeout(1000)
            page.screenshot(path=str(Path(shot, "jupyterlab.png")))
    assert catalog.runbook("health/daily").path.read_bytes() == before
