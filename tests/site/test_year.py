"""The questions that a year of records answers, by clicking and searching."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

from opsnb import catalog
from opsnb.config.file import load_config, load_target
from opsnb.records.store import Store
from opsnb.site.builder import build
from tests.site.conftest import app
from tests.site.visitor import Visitor, found, search, served
from tests.site.year import INCIDENT, Year, real


@pytest.fixture(scope="module")
def place(stack_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose configuration names the store of the year."""
    folder = tmp_path_factory.mktemp("year")
    (folder / "opsnb.toml").write_text("[targets.demo]\n[records]\nstore = 'year'\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPSNB_CONFIG", "OPSNB_RECORDS", "REDIS_URL", "DATABASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("OPSNB_DEMO_HOME", str(stack_home))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def year(place: Path) -> dict[str, str]:
    """The run ids of a year, by what happened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSNB_RECORDS", str(place / "real"))
        runs = real(load_target("demo"))
    made = Year(Store(str(place / "real")), Store(str(place / "year")), datetime.now(UTC))
    made.write(runs)
    return made.ids


@pytest.fixture(scope="module")
def home(place: Path, year: dict[str, str]) -> Iterator[str]:
    """The address of the site of that year."""
    assert year
    assert catalog.runbooks()
    with served(build(load_config(), place / "site", lambda _: None, app=app)) as address:
        yield address


def test_what_did_we_do_last_time(visitor: Visitor, home: str, year: dict[str, str]) -> None:
    page = visitor.page
    page.goto(home)
    assert search(visitor, "worker down")[0] == f"{home}records/{year['restarted']}.html"
    page.locator("#found li a").first.click()
    page.wait_for_url(f"**/{year['restarted']}.html")
    assert INCIDENT in page.locator(".facts").first.inner_text()
    assert "anna" in page.locator(".facts").first.inner_text()
    assert page.locator(".action-applied").count() > 0


def test_who_cleared_the_cache_and_what_happened_then(
    visitor: Visitor, home: str, year: dict[str, str]
) -> None:
    page = visitor.page
    page.goto(f"{home}guide/on-call.html")
    assert search(visitor, "who cleared the cache")[0] == f"{home}records/{year['cleared']}.html"
    first = page.locator("#found li").first
    assert "chloe" in first.inner_text()
    first.get_by_role("link").click()
    page.wait_for_url(f"**/{year['cleared']}.html")
    assert "chloe" in page.locator(".facts").first.inner_text()
    action = page.locator("main > .action-applied")
    assert action.locator(".status").count() > 0  # its effect, as it was measured then


def test_the_deployment_and_its_rollback_are_found(
    visitor: Visitor, home: str, year: dict[str, str]
) -> None:
    visitor.page.goto(f"{home}search.html?q=rollback")
    assert f"{home}runbooks/deployment/rollback.html" in found(visitor.page)
    visitor.page.goto(f"{home}search.html?q=who+deployed")
    assert f"{home}records/{year['deployed']}.html" in found(visitor.page)
    tail = year["deployed"].rpartition("-")[2]
    visitor.page.goto(f"{home}search.html?q={tail}")
    assert f"{home}records/{year['deployed']}.html" in found(visitor.page)


def test_what_happened_after_an_action_stands_beside_it(
    visitor: Visitor, home: str, year: dict[str, str]
) -> None:
    page = visitor.page
    page.goto(home)
    page.get_by_role("link", name="Actions", exact=True).first.click()
    page.get_by_label("action", exact=True).select_option("cache.clear")
    page.get_by_label("operator", exact=True).select_option("chloe")
    rows = page.locator("table.records tbody tr:visible")
    assert rows.count() == 1
    assert "chloe on demo" in rows.inner_text()
    assert rows.locator("td:last-child .status").count() > 0
    rows.get_by_role("link").click()
    page.wait_for_url(f"**/{year['cleared']}.html")
    page.goto(f"{home}actions.html?operator=anna")
    assert f"anna on demo, {INCIDENT}" in page.locator("tbody tr:visible").first.inner_text()


def test_is_it_getting_worse(visitor: Visitor, home: str) -> None:
    page = visitor.page
    page.goto(home)
    page.get_by_role("link", name="Trends", exact=True).first.click()
    page.locator("a[href$='demo/queues.html']").click()
    failed = page.locator("section[id='queues.failures']")
    words = failed.locator("p").first.inner_text()
    medians = re.search(r"Last 7 days: median ([\d.]+) %, ([\d.]+) % in the 4 weeks before", words)
    assert medians, words
    assert float(medians[1]) > float(medians[2])
    line = failed.locator("path.line").get_attribute("d") or ""
    heights = [-float(point.split()[1]) for point in line.removeprefix("M").split("L")]
    assert heights[-9:] == sorted(heights[-9:])
    assert heights[0] < heights[-9] < heights[-1]
    assert heights.count(max(heights)) == 1  # that one night
    for mark in ("deployment", "incident", "action"):
        assert failed.locator(f".mark.{mark}").count() > 0, mark


def test_its_pages_are_for_everyone(visitor: Visitor, home: str) -> None:
    for path in (
        "index.html",
        "actions.html",
        "trends/demo/queues.html",
        "symptoms/no-response.html",
        "alerts/queue_failed_percent.html",
    ):
        visitor.page.goto(home + path, wait_until="load")
        found = Axe().run(visitor.page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], path
        assert not visitor.is_too_wide(), path
    assert visitor.complaints == []
