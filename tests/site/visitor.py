"""A visitor of a built site, in a real browser."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from opsnb.site.server import server


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a site as `opsnb site serve` does; yield its address, with a slash at the end."""
    with server(site, 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}/"
        finally:
            running.shutdown()
            thread.join()


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


def search(visitor: Visitor, words: str) -> list[str]:
    """Search by the box in the head of the page; return the addresses that are found, in order."""
    field = visitor.page.locator("input[name=q]")
    field.fill(words)
    field.press("Enter")
    visitor.page.wait_for_url("**/search.html?*")
    return found(visitor.page)


def found(page: Page) -> list[str]:
    """Return the addresses that a search has found, when it has ended."""
    expect(page.locator("#state")).to_have_text(re.compile("record|cannot|Search for"))
    links = page.locator("#found li a").evaluate_all("links => links.map(link => link.href)")
    return [str(link) for link in links]
