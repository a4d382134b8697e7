"""Every kind of page: for those who see, hear, print or hold it, and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

KINDS = {
    "status": "index.html",
    "runbooks": "runbooks/index.html",
    "runbook": "runbooks/queues/pause.html",
    "records": "records/index.html",
    "docs": "guide/on-call.html",
    "configuration": "reference/configuration.html",
    "drills": "drills.html",
    "trends": "trends/index.html",
    "actions": "actions.html",
    "contacts": "contacts.html",
    "found": "search.html?q=queue",
    "missing": "404.html",
}
_PAGES = re.compile(rb"/Type\s*/Page\b")


def addresses(site: Path) -> Iterator[str]:
    """Yield a page of each kind, and the page of each record: their kinds differ."""
    yield from KINDS.values()
    for kind in ("symptoms/*.html", "alerts/*.html", "trends/*/*.html"):
        fullest = max(site.glob(kind), key=lambda path: path.stat().st_size)
        yield fullest.relative_to(site).as_posix()
    for path in sorted((site / "records").glob("2*T*.html")):
        yield f"records/{path.name}"


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 1280, "height": 900}
    )
    yield context.new_page()
    context.close()


def test_axe_has_no_finding(page: Page, address: str, site: Path) -> None:
    found = []
    for path in addresses(site):
        page.goto(address + path, wait_until="load")
        if path.startswith("search"):
            page.locator("#found li").first.wait_for()
        for violation in Axe().run(page).response["violations"]:
            nodes = [node["html"][:120] for node in violation["nodes"][:3]]
            found.append((path, violation["id"], violation["help"], nodes))
    assert found == []


def test_pages_say_all_without_javascript(browser: Browser, address: str, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    for path in addresses(site):
        plain.goto(address + path)
        assert plain.locator("h1").first.is_visible(), path
        assert plain.locator("nav a", has_text="Records").first.is_visible(), path
    plain.goto(f"{address}search.html")
    assert "opsnb records search" in plain.locator("main").inner_text()
    context.close()


def test_a_daily_check_is_one_sheet_of_paper(browser: Browser, address: str, site: Path) -> None:
    paper = browser.new_page(color_scheme="dark")
    for path in sorted((site / "records").glob("*-health.daily-demo-*.html")):
        paper.goto(f"{address}records/{path.name}")
        assert len(_PAGES.findall(paper.pdf(format="A4"))) == 1, path.name
    paper.close()
