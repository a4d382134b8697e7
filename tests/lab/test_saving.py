"""Saves in one browser window: JupyterLab never takes one of its own for somebody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from opsnb.config.places import state_home
from tests.lab.jupyterlab import add_cell, is_open, jupyterlab, shown, until


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    opening = ("open", "queues/pause", "-t", "local")
    with jupyterlab(tmp_path / "log", *opening) as lab, shown(lab) as page:
        is_open(page, "Pause a queue")
        yield page


def copy() -> Path:
    (path,) = (state_home() / "lab").glob("*/queues/pause.ipynb")
    return path


def outputs() -> list[str]:
    """Return what the cells of the copy on the disk have printed."""
    cells = json.loads(copy().read_text())["cells"]
    return ["".join(each.get("text", "")) for cell in cells for each in cell.get("outputs", ())]


def output(page: Page, text: str) -> Locator:
    return page.locator(".jp-OutputArea-output", has_text=text)


def is_saved_or_asked(page: Page) -> bool:
    page.wait_for_timeout(100)  # lets the page answer
    return bool(page.locator(".jp-Dialog").count()) or "second\n" in outputs()


def test_a_save_during_another_one_is_no_change_by_others(page: Page) -> None:
    saved: list[str] = []
    held: list[Route] = []

    def hold(route: Route) -> None:
        """Hold up the first answer that tells JupyterLab what is on the disk after a save."""
        if route.request.method == "PUT":
            saved.append(route.request.url)
        if saved and not held and route.request.method == "GET":
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/contents/queues/pause.ipynb*", hold)
    add_cell(page, "print('first')")
    expect(output(page, "first")).to_be_visible()
    page.keyboard.press("Control+s")
    while not held:
        page.wait_for_timeout(50)
    add_cell(page, "print('second')")
    expect(output(page, "second")).to_be_visible()
    page.keyboard.press("Control+s")
    with page.expect_event("console", lambda said: said.text == "autosaved"):
        # Longer than until the next autosave, which JupyterLab begins whatever is going on.
        page.evaluate("setTimeout(() => console.log('autosaved'), 6000)")
    held[0].continue_()
    until(lambda: is_saved_or_asked(page))
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    assert {"first\n", "second\n"} <= set(outputs())
