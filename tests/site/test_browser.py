"""The built site in a real browser, as a phone and a desk see it, light and dark."""

from __future__ import annotations

import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urldefrag, urljoin

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site import samples
from tests.site.visitor import Visitor, search


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


def test_the_search_leaves_room_for_the_name_of_the_site(visitor: Visitor, address: str) -> None:
    for name, place in (
        ("index.html", ".brand"),
        ("guide/on-call.html", ".md-header__title .md-ellipsis >> nth=0"),
    ):
        visitor.page.goto(address + name)
        words = visitor.page.locator(place)
        assert words.inner_text().strip() == "opsnb"
        assert words.evaluate("words => words.scrollWidth <= words.clientWidth"), name
        end = words.evaluate("words => words.getBoundingClientRect().right")
        box = visitor.page.locator("input[name=q]").evaluate("box => box.getBoundingClientRect().x")
        assert end <= box, name


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


def test_pages_opened_as_files_work_too(visitor: Visitor, site: Path) -> None:
    home = site.as_uri()
    visitor.page.goto(f"{home}/index.html")
    visitor.page.locator("a[href^='records/']").first.click()
    visitor.page.get_by_role("link", name="Docs").click()
    assert f"{home}/runbooks/queues/pause.html" in search(visitor, "pause queue")
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


@pytest.mark.parametrize("path", ["", "ops/deep/"])
def test_the_page_for_wrong_addresses_finds_the_site_on_any_server(
    browser: Browser, site: Path, tmp_path: Path, path: str
) -> None:
    if path:
        (tmp_path / path).parent.mkdir()
        (tmp_path / path.rstrip("/")).symlink_to(site)

    class Foreign(SimpleHTTPRequestHandler):
        """Answers as many file servers are set up: with the contents of 404.html."""

        def log_message(self, *_: object) -> None:
            """Do not log."""

        def send_error(self, *_: object) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write((site / "404.html").read_bytes())

    root = str(tmp_path if path else site)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Foreign, directory=root)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_address[1]}/{path}"
        page = browser.new_page()
        page.goto(f"{home}records/no/such.html")
        expect(page.locator("main a").first).to_have_attribute(
            "href", re.compile(rf"/{path}index\.html$")
        )
        expect(page.locator(".tabs ul")).to_have_css("display", "flex")  # the styles are found too
        page.locator("main").get_by_role("link", name="Records").click()
        expect(page.locator("h1")).to_have_text("Records")
        page.close()
        server.shutdown()


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
