"""The pages that are made from the index: trends, actions, alerts, symptoms, contacts, the feed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from opsnb import catalog
from opsnb.config.schema import Contact
from opsnb.config.systems import thresholds
from opsnb.model import Finding, RunResult, Status, Threshold
from opsnb.site.context import Pages, Site
from opsnb.site.pages import actions, alerts, contacts, feed, missing, runbooks, trends
from opsnb.site.trend import Event
from opsnb.view import addresses
from tests.site.test_home import BEGAN, DAY, Place, finding, result

ATOM = "{http://www.w3.org/2005/Atom}"
DISK = thresholds()["disk_used_percent"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "demo"))
    for name in ("OPSNB_CONFIG", "OPSNB_RECORDS"):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path)


def rendered(pages: Pages, site: Site) -> dict[str, str]:
    return {page.path: page.html() for page in pages(site)}


def measured(minute: float, value: float, limit: Threshold = DISK) -> RunResult:
    found = Finding.measured(value, limit, f"{value} %.").model_copy(
        update={
            "name": "host.disk",
            "title": "Disk space",
            "started": BEGAN + timedelta(minutes=minute),
        }
    )
    return result(minute, "health/daily", found)


def test_a_trend_has_its_limits_what_is_usual_and_what_changed(place: Place) -> None:
    past = [measured(-DAY * day, 60 + day % 3) for day in range(1, 36)]
    acted = result(-DAY * 20 - 5, "queues/resume", finding("q", Status.OK, 0), acted=True)
    site = place.site(*past, acted, measured(0, 91))
    found = rendered(trends.pages, site)
    page = found["trends/demo/host.html"]
    assert 'href="../../trends/demo/host.html"' not in page
    assert "trends/demo/host.html" in found["trends/index.html"]
    assert 'class="status status-crit">crit</span> Disk space <b>91 %</b>' in page
    assert "median 61 %, as in the 4 weeks before, 1 unusual." in page
    assert 'class="limit warn"' in page
    assert "crit 90" in page
    assert 'class="mark action"' in page
    assert "short line: action" in page


def test_of_many_marks_the_weightiest_stay(place: Place) -> None:
    site = place.site(*(measured(-DAY * day, 60) for day in range(1, 36)), measured(0, 91))
    (trend,) = trends._Past(site, "demo", site.readings).trends
    first, last = trend.at[0], trend.at[-1]
    actions = [Event("action", first + (last - first) * n / 500) for n in range(500)]
    picture = trend.picture([*actions, Event("deployment", first + 60), Event("incident", last)])
    assert picture.count('class="mark deployment"') == 1
    assert picture.count('class="mark incident"') == 1
    assert 10 < picture.count('class="mark action"') < 60


def test_only_the_trends_that_were_measured_again_change(place: Place) -> None:
    other = Finding(
        name="api.latency",
        title="Latency",
        status=Status.OK,
        message="12 ms.",
        value=12.0,
        unit="ms",
        started=BEGAN,
    )
    both = measured(0, 50)
    both.findings.append(other)

    def versions(site: Site) -> dict[str, str]:
        return {page.path: page.made_from for page in trends.pages(site)}

    before = versions(place.site(both))
    after = versions(place.site(measured(5, 51)))
    assert before["trends/demo/api.html"] == after["trends/demo/api.html"]
    assert before["trends/demo/host.html"] != after["trends/demo/host.html"]


def test_actions_say_who_did_what_and_dry_runs_are_not_listed(place: Place) -> None:
    resumed = result(0, "queues/resume", finding("q.state", Status.OK, 0, action="a"), acted=True)
    page = rendered(actions.pages, place.site(resumed, measured(5, 50)))["actions.html"]
    assert page.count("<tr data-") == 1
    assert '<span class="status status-ok">verified</span>' in page
    assert f'href="records/{resumed.run_id}.html">Resume</a>' in page
    assert "ada on demo" in page
    assert "q.state is ok." in page


def test_the_feed_has_what_was_critical_and_what_was_done(place: Place) -> None:
    crit, fine = measured(0, 95), measured(5, 50)
    acted = result(9, "queues/resume", finding("q", Status.OK, 9), acted=True)
    root = ET.fromstring(rendered(feed.pages, place.site(crit, fine, acted))["feed.xml"])
    assert root.tag == f"{ATOM}feed"
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}id") for entry in entries] == [
        f"urn:opsnb:{acted.run_id}",
        f"urn:opsnb:{crit.run_id}",
    ]
    link = entries[0].find(f"{ATOM}link")
    assert link is not None
    assert link.get("href") == f"records/{acted.run_id}.html"


# Alerts name these addresses: one that is here is never renamed and never removed.
ALERTS = (
    "api_p95_ms api_response_ms cache_hit_percent cpu_used_percent database_cache_hit_percent "
    "database_connections_percent disk_used_percent error_rate_percent log_errors "
    "memory_used_percent queue_failed_percent queue_waiting"
)
SYMPTOMS = (
    "bad-release cache-misses data-lost disk-fills-up errors everything-is-slow health-check-fails "
    "impossible-data jobs-fail memory-runs-short no-connections no-response not-sure outdated-data "
    "redis-grows results-do-not-arrive slow-queries stuck-jobs"
)


def test_the_addresses_that_alerts_name_do_not_change(place: Place) -> None:
    site = replace(place.site(), infos=catalog.runbooks())
    for pages, folder, names in (
        (alerts.pages, "alerts", ALERTS),
        (runbooks.pages, "symptoms", SYMPTOMS),
    ):
        found = rendered(pages, site)
        assert {f"{folder}/{name}.html" for name in names.split()} <= found.keys()
    assert all(addresses.alert(metric) == f"alerts/{metric}.html" for metric in thresholds())


def test_an_alert_says_what_to_do_and_what_was_measured_last(place: Place) -> None:
    site = replace(place.site(measured(-9, 40), measured(0, 85)), infos=catalog.runbooks())
    page = rendered(alerts.pages, site)["alerts/disk_used_percent.html"]
    assert "warn above 80 %, crit above 90 %" in page
    assert "opsnb run maintenance/weekly -t TARGET" in page
    assert ">85 %</a>" in page
    assert ">40 %</a>" not in page
    assert 'href="../trends/demo/host.html#host.disk"' in page


def test_a_symptom_leads_to_its_runbook(place: Place) -> None:
    site = replace(place.site(DOWN), infos=catalog.runbooks())
    found = rendered(runbooks.pages, site)
    page = found["symptoms/no-response.html"]
    assert "<h1>Users get no response</h1>" in page
    assert "opsnb run incidents/service_down -t TARGET" in page
    assert "changes things with --apply" in page
    assert "Usually takes</dt><dd>1 s" in page
    assert f"records/{DOWN.run_id}.html" in page
    assert 'href="../symptoms/no-response.html"' in found["runbooks/index.html"]


DOWN = result(0, "incidents/service_down", finding("a.one", Status.CRIT, 0))


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("+1 (555) 010-0199, ada@example.com", "tel:+15550100199"),
        ("0171 2345678", "tel:01712345678"),
        ("ada1234567@example.com", ""),
        ("#on-call in the chat", ""),
    ],
)
def test_contacts_begin_with_a_number_to_dial(place: Place, contact: str, link: str) -> None:
    site = place.site()
    known = (Contact(role="On-Call Engineer", name="Ada", contact=contact),)
    site = replace(site, config=replace(site.config, contacts=known))
    page = rendered(contacts.pages, site)["contacts.html"]
    row = page[page.index("<tbody>") :]
    assert row.index(contact) < row.index("On-Call Engineer") < row.index("Ada")
    assert (f'href="{link}"' in row) if link else ("tel:" not in row)


def test_the_page_for_wrong_addresses_works_at_any_depth(place: Place, tmp_path: Path) -> None:
    with (tmp_path / "opsnb.toml").open("a", encoding="utf-8") as config:
        config.write('site = "https://ops.example.com/runbooks/"\n')
    page = rendered(missing.pages, place.site())["404.html"]
    assert 'href="/runbooks/assets/style.css"' in page
    assert 'href="/runbooks/records/index.html"' in page
