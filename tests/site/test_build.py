from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from playwright.sync_api import Browser, expect

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.demo.faults import all_drills
from opsnb.errors import UsageError
from opsnb.records.store import Store
from opsnb.site.builder import build
from tests.site import samples

app = typer.Typer(help="Commands to try.")


@app.command()
def run(
    runbook: str = typer.Argument(help="Its id."),
    target: str = typer.Option("local", "-t", "--target", help="One of a|b."),
) -> None:
    """Run a runbook."""


@app.command(hidden=True)
def secret() -> None:
    """Not for the page."""


CONFIG = """
[targets.demo]
[targets.production.thresholds.disk_used_percent]
warn = 71
[targets.staging]
database_url = "${SITE_TEST_UNSET}"
[[contacts]]
role = "On-Call Engineer"
name = "Ada <Example>"
contact = "postgresql://ops:hunter22@db/contacts"
[records]
store = "kept"
"""


class Place:
    """A folder with a configuration, a store and runbooks, in which sites are built."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.store = Store(str(folder / "kept"))
        self.out = folder / "site"
        self.said: list[str] = []
        (folder / "opsnb.toml").write_text(CONFIG, encoding="utf-8")
        samples.write_runbooks(self.notebooks)

    def build(self) -> Path:
        self.said.clear()
        return build(load_config(self.folder / "opsnb.toml"), self.out, self.said.append, app=app)

    def page(self, name: str) -> str:
        return (self.out / name).read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in ("OPSNB_CONFIG", "OPSNB_RECORDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "demo"))
    share: Callable[[str], Path] = catalog.share
    made = Place(tmp_path)
    monkeypatch.setattr(
        catalog, "share", lambda name: made.notebooks if name == "notebooks" else share(name)
    )
    return made


def order(text: str, *words: str) -> None:
    places = [text.index(word) for word in words]
    assert places == sorted(places), dict(zip(words, places, strict=True))


def test_without_records_the_pages_say_what_to_type(place: Place) -> None:
    place.build()
    assert "opsnb run health/daily -t demo" in place.page("index.html")
    assert "There are no records yet" in place.page("records/index.html")
    assert not [line for line in place.said if line.startswith(("Warning", "Error"))]


def test_home_shows_the_newest_record_of_each_runbook_worst_first(place: Place) -> None:
    kept = samples.fill(place.store)
    place.build()
    home = place.page("index.html")
    order(home, 'id="target-staging"', 'id="target-production"', 'id="target-demo"')
    assert kept["older"] not in home
    assert kept["newer"] not in home
    demo = home[home.index('id="target-demo"') :]
    order(demo, kept["broke"], kept["unreadable"])
    assert "NameError: name &#39;queue&#39; is not defined" in demo
    assert '<span class="status status-crit">crit</span>' in home


def test_a_summary_leads_to_its_members_and_they_to_it(place: Place) -> None:
    kept = samples.keep_several(place.store)
    place.build()
    page = place.page(f"records/{kept['summary']}.html")
    order(page, "<h1", "1 crit, 1 unknown, 1 ok. prod-b", "prod-*: 3 targets", 'data-status="crit"')
    rows = page[page.index("<tbody", page.index('<table class="records"')) :]
    order(rows, f'href="{kept["prod-b"]}.html"', "PROD_C is not set.", f'"{kept["prod-a"]}.html"')
    for name in ("prod-a", "prod-b"):
        member = place.page(f"records/{kept[name]}.html")
        assert f'<a href="{kept["summary"]}.html">summary of prod-*</a>' in member
    home = place.page("index.html")
    assert 'id="target-prod-b"' in home
    assert "prod-*" not in home
    runbook = place.page("runbooks/health/daily.html")
    assert f'records/{kept["summary"]}.html">prod-*' in runbook
    assert kept["prod-a"] not in runbook


def test_a_target_that_only_records_know_is_shown_and_said_to_be_unknown(place: Place) -> None:
    samples.keep(place.store, samples.findings(), target="retired")
    place.build()
    assert "not in opsnb.toml now" in place.page("index.html")


def test_a_record_has_a_page_with_its_charts_neighbours_and_runbook(place: Place) -> None:
    kept = samples.fill(place.store)
    place.build()
    page = place.page(f"records/{kept['newer']}.html")
    assert "<h1" in page
    assert "Daily health check on demo" in page
    assert 'aria-label="Queue depth"' in page
    assert f'href="{kept["older"]}.html" rel="prev"' in page
    assert f'href="{kept["unreadable"]}.html" rel="next"' in page
    assert 'href="../runbooks/health/daily.html"' in page
    assert 'href="../runbooks/queues/pause.html"' in page
    for fact in ("2026-11-23 08:15 UTC", "4.2 s", "ada on ops1", "<code>lines = 100</code>"):
        assert fact in page
    assert len(page) < 60_000


def test_neighbours_are_runs_of_the_same_runbook_on_the_same_target(place: Place) -> None:
    kept = samples.fill(place.store)
    place.build()
    lone = place.page(f"records/{kept['down']}.html")
    assert 'rel="prev"' not in lone
    assert 'rel="next"' not in lone


def test_runs_that_continue_one_another_are_one_story(place: Place) -> None:
    first = samples.keep(place.store, [], error="The run was killed before its end.")
    second = samples.keep(place.store, [], minutes=5, error="Interrupted.", parent=first)
    third = samples.keep(place.store, samples.findings(), minutes=9, parent=second)
    lone = samples.keep(place.store, samples.findings(), minutes=15)
    place.build()
    for here, others in ((first, (third, second)), (second, (third, first))):
        story = place.page(f"records/{here}.html").split('class="note story"', 1)[1]
        assert "One operation in 3 runs" in story
        order(story, *(f'href="{other}.html"' for other in others))
        assert story.index("<b>this run</b>") < story.index("</table>")
    assert "One story" not in place.page(f"records/{lone}.html")


def test_a_broken_run_says_so_at_its_top(place: Place) -> None:
    kept = samples.fill(place.store)
    place.build()
    order(place.page(f"records/{kept['broke']}.html"), "Broke", "NameError", "Exit code")


def test_a_broken_notebook_costs_its_own_page_only(place: Place) -> None:
    kept = samples.fill(place.store)
    folder = Path(place.store.folder(kept["older"]))
    (folder / "record.ipynb").write_text("{", encoding="utf-8")
    place.build()
    for name in ("older", "unreadable"):
        page = place.page(f"records/{kept[name]}.html")
        assert "The notebook of this record cannot be shown" in page
        assert "Disk space" in page
    assert "This runbook cannot be shown" in place.page("runbooks/queues/broken.html")
    assert "cannot be read" in place.page("runbooks/index.html")


def test_a_record_without_a_readable_result_is_named(place: Place) -> None:
    kept = samples.fill(place.store)
    (Path(place.store.folder(kept["newer"])) / "result.json").write_text("{", encoding="utf-8")
    place.build()
    assert kept["newer"] in place.page("records/index.html")
    assert "opsnb records reindex" in place.page("records/index.html")


def test_a_runbook_begins_with_its_parameters_and_carries_no_clutter(place: Place) -> None:
    kept = samples.fill(place.store)
    place.build()
    page = place.page("runbooks/health/daily.html")
    order(
        page,
        "<h1",
        '<h2 id="when',
        "how often the API",
        "Risk: reads only",
        "opsnb run health/daily -t",
    )
    order(page, "opsnb run health/daily -t TARGET", '<h2 id="check')
    assert f"../../records/{kept['newer']}.html" in page
    assert 'href="../queues/pause.html"' in page
    assert "clipboard-copy-txt" not in page
    assert "cdnjs" not in page
    assert len(page) < 60_000
    assert 'href="../health/daily.html#check"' in place.page("runbooks/queues/pause.html")
    assert "required" in place.page("runbooks/queues/pause.html")


def test_the_reference_comes_from_the_code(place: Place) -> None:
    place.build()
    commands = place.page("reference/commands.html")
    assert "opsnb run" in commands
    assert "One of a|b." in commands
    assert "Not for the page" not in commands
    assert "time_limit_s" in place.page("reference/configuration.html")
    drills = place.page("drills.html")
    assert all(f'<span id="{each.name}">' in drills for each in all_drills().values())
    thresholds = place.page("thresholds.html")
    assert "above 71 %" in thresholds
    assert "SITE_TEST_UNSET" in thresholds


def test_the_list_of_drills_has_the_last_result_of_each(place: Place) -> None:
    place.build()
    for minutes in (0, 60):
        held = samples.keep(place.store, [], runbook="drill/redis-down", minutes=minutes)
        place.build()
        row = place.page("drills.html").partition('id="redis-down"')[2].partition("</tr>")[0]
        assert row.count('<a href="records/') == 1
        assert f"records/{held}.html" in row


def test_configured_texts_are_escaped_and_redacted(place: Place) -> None:
    place.build()
    contacts = place.page("contacts.html")
    assert "Ada &lt;Example&gt;" in contacts
    assert "hunter22" not in contacts


def test_many_records_are_listed_by_month(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsnb.site.pages.records.NEWEST", 2)
    month = int(timedelta(days=31) / timedelta(minutes=1))
    kept = [samples.keep(place.store, samples.findings(), minutes=n * month) for n in range(4)]
    place.build()
    overview = place.page("records/index.html")
    order(overview, "2027-02.html", f'href="{kept[3]}.html"', f'href="{kept[2]}.html"')
    assert f'href="{kept[0]}.html"' not in overview
    assert kept[0] in place.page("records/2026-11.html")


def test_a_month_of_many_records_has_several_pages(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("NEWEST", 2), ("PART", 3), ("MOST", 6)):
        monkeypatch.setattr(f"opsnb.site.pages.records.{name}", count)
    kept = [samples.keep(place.store, samples.findings(), minutes=n) for n in range(5)]
    place.build()
    order(place.page("records/2026-11.html"), "1 to 3 of 5", kept[4], kept[3], kept[2])
    second = place.page("records/2026-11-2.html")
    order(second, "4 to 5 of 5", 'href="2026-11-2.html" aria-current="page"', kept[1], kept[0])
    assert kept[2] not in second
    kept += [samples.keep(place.store, samples.findings(), minutes=n) for n in range(5, 8)]
    place.build()
    assert "The pages show 6" in place.page("records/2026-11-2.html")
    assert not (place.out / "records/2026-11-3.html").exists()


def test_an_unchanged_page_is_not_written_again(place: Place) -> None:
    kept = samples.fill(place.store)
    place.build()

    def versions() -> dict[str, int]:
        return {
            path.relative_to(place.out).as_posix(): path.stat().st_ino
            for path in place.out.rglob("*")
            if path.is_file() and not path.name.startswith(".")
            # The first says when the site was built; the search has tests of its own.
            if path != place.out / "index.html" and place.out / "search" not in path.parents
        }

    before = versions()
    place.build()
    assert versions() == before
    added = samples.keep(place.store, samples.findings(), minutes=200)
    place.build()
    after = versions()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        f"records/{added}.html",
        f"records/{kept['unreadable']}.html",  # the run before it leads to it
        "records/index.html",
        "alerts/queue_waiting.html",
        "trends/demo/api.html",
        "trends/demo/queues.html",
        "runbooks/index.html",
        "runbooks/health/daily.html",
        "symptoms/not-sure.html",
    }


def tree(site: Path) -> dict[str, bytes]:
    """Return the content of each file that a visitor may see, without the time of the build.

    Those of the search are left out: how it is cut into files depends on the builds before.
    """
    names = (path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    built = re.compile(rb"<time[^>]*>[^<]*</time>")
    return {
        name: built.sub(b"", (site / name).read_bytes())
        for name in names
        if not name.startswith((".", "search/"))
    }


def test_a_build_that_is_killed_at_any_moment_is_put_right_by_the_next(place: Place) -> None:
    chosen = random.Random(3)
    kept = samples.fill(place.store)
    place.build()
    for kill in range(8):
        samples.keep(place.store, samples.findings(), minutes=200 + kill)
        if kill == 4:
            shutil.rmtree(place.store.folder(kept["older"]))
        child = os.fork()
        if child == 0:
            place.build()
            os._exit(0)
        time.sleep(chosen.uniform(0, 0.6))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    place.build()
    killed = place.out
    place.out = place.folder / "fresh"
    place.build()
    assert tree(killed) == tree(place.out)
    assert not (killed / f"records/{kept['older']}.html").exists()


def test_a_folder_with_something_else_in_it_is_refused(place: Place) -> None:
    place.out.mkdir()
    (place.out / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something other than a site"):
        place.build()
    assert (place.out / "thesis.txt").read_text() == "mine"


def test_nothing_is_left_in_the_folder_where_it_is_built(place: Place) -> None:
    before = {path.name for path in place.folder.iterdir()}
    place.build()
    shutil.rmtree(place.out)
    assert {path.name for path in place.folder.iterdir()} == before


def test_the_filters_of_a_month_see_all_its_records(
    place: Place, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [
        samples.keep(place.store, samples.findings(), minutes=minute, operator=who)
        for minute, who in ((0, "anna"), (5, "ben"), (10, "ben"), (44_640, "ben"))
    ]
    monkeypatch.setattr("opsnb.site.pages.records.NEWEST", 2)
    monkeypatch.setattr("opsnb.site.pages.records.MOST", 2)
    monkeypatch.setattr("opsnb.site.pages.records.PART", 1)
    place.build()
    page = browser.new_page()
    links = page.locator("table.records tbody a")
    for name in ("index.html", "2026-11.html"):  # anna's is on neither page
        page.goto((place.out / "records" / name).as_uri())
        page.get_by_label("operator").select_option("anna")
        expect(links).to_have_count(1)
        expect(links).to_have_attribute("href", f"{kept[0]}.html")
        expect(page.locator(".filter output")).to_contain_text("1 of")
        page.get_by_label("operator").select_option("ben")
        expect(links).to_have_count(3 if name == "index.html" else 2)
        page.get_by_label("operator").select_option("")
        expect(links.first).not_to_have_attribute("href", f"{kept[0]}.html")
    page.goto(f"{(place.out / 'records/2026-11.html').as_uri()}?operator=anna")
    expect(links).to_have_attribute("href", f"{kept[0]}.html")
    links.click()
    expect(page.get_by_role("definition").filter(has_text="anna on ops1")).to_be_visible()
    page.close()
