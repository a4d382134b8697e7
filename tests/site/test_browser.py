"""The built site in a real browser, as a phone and a desk see it, light and dark."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
import typer
from playwright.sync_api import Browser, Page

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.records.store import Store
from opsnb.site.builder import build
from opsnb.site.server import server
from tests.browser import chromium
from tests.site import samples

SCREENS = ((1280, "light"), (390, "dark"))

app = typer.Typer(help="Commands to try.")


@app.command()
def run(runbook: str = typer.Argument(help="Its id.")) -> None:
    """Run a runbook."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A site with records of each kind."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "opsnb.toml").write_text("[targets.demo]\n[records]\nstore = 'kept'\n")
    samples.write_runbooks(folder / "notebooks")
    store = Store(str(folder / "kept"))
    samples.fill(store)
    samples.keep_several(store)
    share = catalog.share
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPSNB_RECORDS", raising=False)
        patch.setenv("OPSNB_DEMO_HOME", str(folder / "demo"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(
            catalog, "share", lambda name: folder / name if name == "notebooks" else share(name)
        )
        said: list[str] = []
        config = load_config(folder / "opsnb.toml")
        yield build(config, folder / "site", said.append, app=app)


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with server(site, 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Visitor:
    """A page that remembers what it asked for and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(f"{page.url}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )

    def foreign(self, home: str) -> list[str]:
        """Return the requests that went anywhere but to the site itself."""
        return [url for url in self.requests if not url.startswith((home, "data:", "blob:"))]

    def is_too_wide(self) -> bool:
        root = "document.documentElement"
        return bool(self.page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))


@pytest.fixture(params=SCREENS, ids=str)
def visitor(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    yield Visitor(context.new_page())
    context.close()


def search(visitor: Visitor, words: str) -> Iterator[str]:
    """Yield the addresses that the site's search finds."""
    page = visitor.page
    if page.viewport_size and page.viewport_size["width"] < 800:
        page.locator("label.md-header__button[for=__search]").click()
    field = page.locator("input.md-search__input")
    field.click()
    field.press_sequentially(words)  # the theme listens to keys
    page.locator("a.md-search-result__link").first.wait_for()
    for found in page.locator("a.md-search-result__link").all():
        yield str(found.get_attribute("href"))


def test_every_page_that_can_be_reached_is_whole(visitor: Visitor, address: str) -> None:
    seen: dict[str, str] = {}
    fragments: list[tuple[str, str]] = []
    waiting = [(address + "index.html", "start")]
    while waiting:
        url, source = waiting.pop()
        if url in seen:
            continue
        seen[url] = source
        answer = visitor.page.goto(url)
        assert answer is not None
        assert answer.ok, f"{url}, linked from {source}: {answer.status}"
        assert not visitor.is_too_wide(), f"{url} scrolls sideways"
        assert visitor.page.locator("h1").count() == 1, url
        for href in visitor.page.locator("a[href]").evaluate_all(
            "links => links.map(link => link.getAttribute('href'))"
        ):
            target, fragment = urldefrag(urljoin(url, href))
            if not target.startswith(address):
                continue
            waiting.append((target, url))
            if fragment:
                fragments.append((target, fragment))
    assert len([url for url in seen if "/records/" in url]) == 9
    assert address + "runbooks/queues/broken.html" in seen
    assert address + "reference/configuration.html" in seen
    assert visitor.complaints == []
    assert visitor.foreign(address) == []


def test_links_into_a_page_find_their_place(browser: Browser, address: str) -> None:
    page = browser.new_page()
    for name in ("index.html", "runbooks/queues/pause.html", "thresholds.html"):
        page.goto(address + name)
        for href in page.locator(":is(article, main) a[href*='#']").evaluate_all(
            "links => links.map(link => link.href)"
        ):
            target, fragment = urldefrag(href)
            page.goto(target)
            assert page.locator(f"[id='{fragment}']").count() == 1, f"{href}, linked from {name}"
    page.close()


def test_the_search_finds_runbooks(visitor: Visitor, address: str) -> None:
    visitor.page.goto(address + "thresholds.html")
    assert any("runbooks/queues/pause.html" in url for url in search(visitor, "pause queue"))
    assert visitor.complaints == []


def test_pages_opened_as_files_work_too(visitor: Visitor, site: Path) -> None:
    home = site.as_uri()
    visitor.page.goto(f"{home}/index.html")
    visitor.page.locator("a[href^='records/']").first.click()
    visitor.page.get_by_role("link", name="Docs").click()
    assert any("runbooks/queues/pause.html" in url for url in search(visitor, "pause queue"))
    assert visitor.foreign(home) == []
    assert visitor.complaints == []


def lightness(page: Page) -> int:
    """Return how light the page behind the text is: 0 for black, 255 for white."""
    colour = page.evaluate(
        "[document.body, document.documentElement].map(e => getComputedStyle(e).backgroundColor)"
        ".find(colour => colour !== 'rgba(0, 0, 0, 0)')"
    )
    return int(colour.strip("rgba()").split(",")[0])


def test_the_colours_follow_the_system_and_the_toggle_on_pages_of_both_kinds(
    visitor: Visitor, address: str
) -> None:
    page = visitor.page
    page.goto(address + "index.html")
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (lightness(page) < 100) == is_dark
    page.get_by_role("button", name="Colours: system").click()
    assert lightness(page) > 200
    page.goto(address + "thresholds.html")
    assert lightness(page) > 200
    page.locator("label[for=__palette_2]").click()
    assert lightness(page) < 100
    page.goto(address + "records/index.html")
    assert lightness(page) < 100
    page.get_by_role("button", name="Colours: dark").click()
    assert (lightness(page) < 100) == is_dark


def test_paper_is_white_and_its_ink_dark(visitor: Visitor, address: str) -> None:
    page = visitor.page
    page.goto(address + "records/index.html")
    page.locator("table.records a").first.click()
    page.wait_for_url("**/records/2*.html")
    page.emulate_media(media="print")
    assert lightness(page) > 200
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert int(ink.strip("rgba()").split(",")[0]) < 100
    assert not page.locator("header.top").is_visible()


def test_records_can_be_filtered(visitor: Visitor, address: str) -> None:
    page = visitor.page
    page.goto(address + "records/index.html")
    rows = page.locator("table.records tbody tr:visible")
    assert rows.count() == 8
    page.locator("select[name=status]").select_option("crit")
    assert rows.count() == 3
    assert "refuses connections" in rows.first.inner_text()
    page.goto(address + "records/index.html?target=staging")
    assert rows.count() == 1
    page.goto(address + "records/index.html?target=prod-*")
    rows.first.get_by_role("link").click()
    page.locator("select[name=status]").select_option("unknown")
    assert "PROD_C is not set" in rows.first.inner_text()
    assert page.locator("select[name=runbook]").count() == 0


def test_times_say_how_long_ago(visitor: Visitor, address: str) -> None:
    visitor.page.clock.set_fixed_time(samples.START.replace(hour=10))
    visitor.page.goto(address + "index.html")
    assert "1 h ago" in visitor.page.locator("#target-staging").inner_text()
