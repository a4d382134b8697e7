"""A JupyterLab that opsnb has started, and a page of a real browser in it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Locator, Page, expect

from tests.browser import PATIENCE_S, chromium

_T = TypeVar("_T")
_OPTIONS = ("--no-browser", "--port=0", "--allow-root")


class JupyterLab:
    """The process of `opsnb open` or `opsnb lab`."""

    def __init__(self, log: Path, *arguments: str) -> None:
        """Start `opsnb` with `arguments`, on a free port and without a browser of its own."""
        self._log = log
        with log.open("w") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "opsnb", *arguments, *_OPTIONS],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Its address, with the token."""
        return until(self._url)[0]

    @property
    def told(self) -> str:
        """What it has said on the terminal."""
        return self._log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, wait for its end and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S)

    def _url(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.told
        return re.search(r"http://127\.0\.0\.1:\S+token=\w+", self.told)


def opsnb(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run opsnb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "opsnb", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


@contextmanager
def jupyterlab(log: Path, *arguments: str) -> Iterator[JupyterLab]:
    """Yield a JupyterLab, and end what is left of it."""
    lab = JupyterLab(log, *arguments)
    try:
        yield lab
    finally:
        if lab.process.poll() is None:
            lab.end()


@contextmanager
def shown(lab: JupyterLab) -> Iterator[Page]:
    """Yield a page on which that JupyterLab is shown."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(lab.url)
        yield page


def front(page: Page) -> Locator:
    """Return the notebook, or the page of runbooks, that is in front."""
    return page.locator(".jp-MainAreaWidget:not(.lm-mod-hidden)").filter(
        has=page.locator(".opsnb-bar")
    )


def bar(page: Page) -> Locator:
    """Return the bar with the target above the notebook in front."""
    return front(page).locator(".opsnb-bar")


def is_open(page: Page, title: str) -> None:
    """Wait until the runbook `title` is in front and its kernel is there."""
    expect(front(page).get_by_role("heading", name=title, level=1)).to_be_visible()
    expect(page.get_by_text("| Idle")).to_be_visible()


def is_run(page: Page) -> None:
    """Wait until no cell of the notebook in front runs or waits any more."""
    expect(front(page).locator(".jp-InputPrompt", has_text="[*]")).to_have_count(0)
    expect(page.get_by_text("| Idle")).to_be_visible()


def run_all(page: Page) -> None:
    """Run every cell of the notebook in front, once its kernel is there."""
    expect(page.get_by_text("| Idle")).to_be_visible()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def save(page: Page) -> None:
    """Save the notebook in front."""
    page.keyboard.press("Control+s")
    expect(page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty")).to_have_count(0)


def add_cell(page: Page, source: str) -> None:
    """Add a cell at the end of the notebook in front and run it."""
    page.locator(".jp-Notebook .jp-Cell").last.click(position={"x": 2, "y": 2})  # on no link
    for key in ("Escape", "b", "Enter"):
        page.keyboard.press(key)
    page.keyboard.insert_text(source)
    page.keyboard.press("Shift+Enter")


def screenshot(page: Page, name: str, height: int = 1600) -> None:
    """Keep a picture of the page in the folder that $OPSNB_SCREENSHOTS names."""
    if folder := os.environ.get("OPSNB_SCREENSHOTS"):
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_timeout(1000)
        page.screenshot(path=str(Path(folder, name)))


def until(tell: Callable[[], _T | None]) -> _T:
    """Return what `tell` returns as soon as that is something."""
    ends = time.monotonic() + PATIENCE_S
    while not (told := tell()):
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.1)
    return told
