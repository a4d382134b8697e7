"""The search: what it finds, in which order, and what it moves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from opsnb.config.file import load_config
from opsnb.model import Finding, Status
from opsnb.records.store import Store
from opsnb.site.builder import build
from tests.site import samples
from tests.site.conftest import app
from tests.site.visitor import Visitor, found, search, served

MOVED = 300_000
HOSTILE = "<img src=x onerror=alert(1)> & <b>loud</b>"


def asked(visitor: Visitor, home: str, words: str, **filters: str) -> list[str]:
    given = "".join(f"&{name}={quote(value)}" for name, value in filters.items())
    visitor.page.goto(f"{home}search.html?q={quote(words, safe='')}{given}")
    return [url.removeprefix(home) for url in found(visitor.page)]


def test_the_box_of_every_page_searches(visitor: Visitor, address: str) -> None:
    for page in ("index.html", "thresholds.html", "records/index.html", "404.html"):
        visitor.page.goto(address + page)
        assert f"{address}runbooks/queues/pause.html" in search(visitor, "pause queue"), page
    assert visitor.complaints == []
    assert visitor.foreign(address) == []


def test_problems_come_before_docs_and_what_was_fine_after_them(
    visitor: Visitor, address: str
) -> None:
    urls = asked(visitor, address, "health")
    headings = visitor.page.locator("#found h2").all_inner_texts()
    assert headings == ["Records of changes and problems", "Runbooks and docs", "Other records"]
    assert "staging" in urls[0] or "prod" in urls[0]
    assert "runbooks/health/daily.html" in urls


def test_a_page_that_is_called_so_comes_before_records(visitor: Visitor, address: str) -> None:
    assert asked(visitor, address, "the daily health check")[0] == "runbooks/health/daily.html"
    assert visitor.page.locator("#found h2").first.inner_text() == "Runbooks and docs"


def test_a_run_is_found_by_a_part_of_its_id(visitor: Visitor, address: str, site: Path) -> None:
    run_id = next((site / "records").glob("*-staging-*.html")).stem
    tail = run_id.rpartition("-")[2]
    assert f"records/{run_id}.html" in asked(visitor, address, tail)
    assert asked(visitor, address, run_id)[0] == f"records/{run_id}.html"


def test_results_are_filtered_by_status_and_target(visitor: Visitor, address: str) -> None:
    every = asked(visitor, address, "daily health", target="staging")
    assert len(every) == 1
    assert "staging" in every[0]
    assert asked(visitor, address, "daily health", target="staging", status="ok") == []
    visitor.page.get_by_label("Status").select_option("crit")
    visitor.page.get_by_role("button", name="Search").click()
    visitor.page.locator("#found li").wait_for()
    assert [url.removeprefix(address) for url in found(visitor.page)] == every


@pytest.mark.parametrize(
    "words", ['"', "<b>&amp;", "%00%", "((", "\\", "🙂", "a" * 3000, "' OR 1=1 --", "."]
)
def test_any_text_can_be_searched(browser: Browser, address: str, words: str) -> None:
    visitor = Visitor(browser.new_page())
    asked(visitor, address, words)
    assert visitor.page.locator("#search input").input_value() == words
    assert visitor.complaints == []
    visitor.page.close()


def test_the_first_search_moves_little(browser: Browser, address: str) -> None:
    page = browser.new_page()
    moved: list[int] = []
    page.on("response", lambda response: moved.append(len(response.body())))
    page.goto(f"{address}search.html?q=queue")
    assert found(page)
    assert sum(moved) < MOVED
    page.close()


class Place:
    """A store and its site, which changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(str(folder / "kept"))
        (folder / "opsnb.toml").write_text("[targets.demo]\n[records]\nstore = 'kept'\n")

    def build(self) -> Path:
        config = load_config(self.folder / "opsnb.toml")
        return build(config, self.folder / "site", lambda _: None, app=app)

    def age_records(self) -> None:
        """Let every record be one of a minute ago."""
        before = time.time() - 60
        for path in (self.folder / "kept").rglob("*.json"):
            os.utime(path, (before, before))

    def written(self) -> dict[str, int]:
        """Return when each file of the search was written, by its path."""
        search = self.folder / "site" / "search"
        files = (path for path in search.rglob("*") if path.is_file())
        return {path.relative_to(search).as_posix(): path.stat().st_mtime_ns for path in files}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("OPSNB_RECORDS", raising=False)
    return Place(tmp_path)


@pytest.fixture
def guest(browser: Browser) -> Iterator[Visitor]:
    page = browser.new_page()
    yield Visitor(page)
    page.close()


def test_a_new_record_changes_the_bundle_of_its_month_alone(place: Place, guest: Visitor) -> None:
    samples.keep(place.store, samples.findings(), minutes=-60 * 24 * 40)
    down = partial(samples.keep, place.store, runbook="incidents/service_down")
    down(samples.findings(api=False))
    place.age_records()  # what has just been written is read once more
    site = place.build()
    symptom = site / "symptoms" / "no-response.html"
    shown = symptom.read_text()
    before = place.written()
    new = down(samples.findings(waiting=140), minutes=60)
    place.build()
    assert symptom.read_text() != shown
    after = place.written()
    changed = {path for path in after if before.get(path) != after[path]}
    tails = f"tails-{new[-1]}.js"
    assert {path.split("/")[0] for path in changed} == {"2026-11.1", "bundles.js", tails}
    with served(site) as home:
        assert f"records/{new}.html" in asked(guest, home, "140 jobs wait")
        assert "symptoms/no-response.html" not in asked(guest, home, "140 jobs wait")
        assert "symptoms/no-response.html" in asked(guest, home, "users get no response")
        assert guest.complaints == []


def test_the_end_of_a_run_id_loads_the_records_of_its_month_alone(
    place: Place, guest: Visitor
) -> None:
    keep = partial(samples.keep, place.store, samples.findings())
    old, *_ = [keep(minutes=-60 * 24 * days) for days in (100, 70, 40, 10)]
    loaded: list[str] = []
    with served(place.build()) as home:
        guest.page.on("request", lambda request: loaded.append(request.url))
        for words in (old.rpartition("-")[2], old):
            loaded.clear()
            assert asked(guest, home, words)[0] == f"records/{old}.html"
            months = {
                url.split("/search/")[1].split("/")[0] for url in loaded if "/search/2" in url
            }
            assert months == {f"{old[:4]}-{old[4:6]}.1"}
        newest = guest.page.get_by_role("button", name="Search all records")
        newest.click()
        newest.wait_for(state="detached")
        assert guest.complaints == []


def test_a_page_that_was_open_during_a_build_finds_what_is_new(
    place: Place, guest: Visitor
) -> None:
    samples.keep(place.store, samples.findings())
    with served(place.build()) as home:
        asked(guest, home, "sapphire")
        new = samples.keep(place.store, samples.findings(waiting=140), minutes=60)
        place.build()
        field = guest.page.locator("#search input")
        field.fill("daily health")
        field.press("Enter")
        guest.page.locator("#found li", has_text="140 jobs").wait_for()
        assert f"{home}records/{new}.html" in found(guest.page)


def test_what_records_say_is_text(place: Place, guest: Visitor) -> None:
    bad = Finding(name="api.health", title=HOSTILE, status=Status.CRIT, message=f"down: {HOSTILE}")
    samples.keep(place.store, [bad], title=HOSTILE)
    with served(place.build()) as home:
        assert len(asked(guest, home, "loud")) == 1
        result = guest.page.locator("#found li")
        assert HOSTILE in result.inner_text()
        assert result.locator("img, b").count() == 0
        assert guest.complaints == []


def test_without_records_the_docs_are_found(place: Place, guest: Visitor) -> None:
    with served(place.build()) as home:
        assert "guide/schedule.html" in asked(guest, home, "cron")
        assert guest.complaints == []
