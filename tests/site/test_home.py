"""The status page shows each target as it was measured last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from opsnb.config.file import load_config
from opsnb.model import (
    ActionRecord,
    ActionState,
    Finding,
    Remedy,
    RunResult,
    Status,
    Threshold,
    status_of,
)
from opsnb.records.members import Member
from opsnb.records.store import Store
from opsnb.records.stored import id_part
from opsnb.redaction import Redactor
from opsnb.site.context import Site
from opsnb.site.pages.status import home
from opsnb.site.present import State, present
from tests.site import samples

BEGAN = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
DAY = 24 * 60
RESUME = Remedy(runbook="queues/resume", parameters={"queue": "emails"}, target="demo")
CONFIG = """
[targets.demo]
[targets.prod]
protected = true
[records]
store = "kept"
"""


def finding(name: str, status: Status, minute: float, **more: Any) -> Finding:
    at = BEGAN + timedelta(minutes=minute)
    return Finding(name=name, status=status, message=f"{name} is {status}.", started=at, **more)


def result(
    minute: float, runbook: str, *findings: Finding, acted: bool = False, **more: Any
) -> RunResult:
    at = BEGAN + timedelta(minutes=minute)
    status = status_of(findings)
    target = more.get("target", "demo")
    done = ActionRecord(
        id="a",
        name="queues.resume",
        title="Resume",
        target=target,
        state=ActionState.APPLIED,
        planned=1,
        applied=1,
        verified=True,
        started=at,
    )
    return RunResult(
        **{
            "run_id": f"{at:%Y%m%dT%H%M%SZ}-{runbook.replace('/', '.')}-{id_part(target)}-0000",
            "runbook": runbook,
            "title": runbook,
            "runbook_sha256": "5f" * 32,
            "target": target,
            "operator": "ada",
            "host": "ops1",
            "status": status,
            "exit_code": status.exit_code,
            "findings": list(findings),
            "actions": [done] if acted else [],
            "started": at,
            "finished": at,
            "seconds": 1,
            "opsnb_version": "0",
            "parameters": {},
            **more,
        }
    )


class Place:
    """A store, and the site that is made from it."""

    def __init__(self, folder: Path) -> None:
        (folder / "opsnb.toml").write_text(CONFIG, encoding="utf-8")
        self.folder = folder

    def site(self, *ran: RunResult, minute: float = 60) -> Site:
        store = Store(str(self.folder / "kept"))
        for each in ran:
            store.keep(each, samples.executed(each.findings), Redactor())
        config = load_config(self.folder / "opsnb.toml")
        built = BEGAN + timedelta(minutes=minute)
        return Site(config, [], store, typer.Typer(), built)

    def states(self, *ran: RunResult) -> dict[str, State]:
        """Return what `present` says of each runbook."""
        site = self.site(*ran)
        return {each.run.runbook: each for each in present(site.store.index, site.newest)}

    def statuses(self, *ran: RunResult) -> dict[str, Status]:
        return {runbook: state.status for runbook, state in self.states(*ran).items()}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A new place each time."""
    monkeypatch.setenv("OPSNB_DEMO_HOME", str(tmp_path / "demo"))
    for name in ("OPSNB_CONFIG", "OPSNB_RECORDS"):
        monkeypatch.delenv(name, raising=False)

    def made() -> Iterator[Place]:
        number = 0
        while True:
            number += 1
            folder = tmp_path / str(number)
            folder.mkdir()
            yield Place(folder)

    return made()


@pytest.fixture
def place(places: Iterator[Place]) -> Place:
    return next(places)


DAILY = result(0, "health/daily", finding("a.one", Status.CRIT, 0), finding("a.two", Status.OK, 0))


def test_what_another_runbook_measured_again_counts_as_it_was_measured_last(place: Place) -> None:
    again = result(5, "incidents/fix", finding("a.one", Status.OK, 5))
    site = place.site(DAILY, again)
    found = {each.run.runbook: each.status for each in present(site.store.index, site.newest)}
    assert found == {"health/daily": Status.OK, "incidents/fix": Status.OK}
    html = home(site)
    assert "Fixed, as measured by" in html
    assert "status-crit" not in html


def test_nothing_else_hides_a_crit(places: Iterator[Place]) -> None:
    for later in (
        result(5, "incidents/fix", finding("a.two", Status.OK, 5)),  # another check
        result(5, "incidents/fix", finding("a.one", Status.OK, 5, arguments={"queue": "x"})),
        result(5, "incidents/fix", finding("a.one", Status.UNKNOWN, 5)),
        result(5, "incidents/fix", finding("a.one", Status.OK, -5)),  # measured before
        result(5, "incidents/fix", finding("a.one", Status.OK, 5), target="prod"),
    ):
        site = next(places).site(DAILY, later)
        (daily,) = (
            each
            for each in present(site.store.index, site.newest)
            if each.run.runbook == "health/daily"
        )
        assert daily.status is Status.CRIT
    # It was well in between, and is not any more.
    well, ill = (
        result(5, "incidents/fix", finding("a.one", Status.OK, 5)),
        result(9, "monitoring/one", finding("a.one", Status.CRIT, 9)),
    )
    assert next(places).statuses(DAILY, well, ill)["health/daily"] is Status.CRIT


def test_what_is_left_of_several_is_shown(place: Place) -> None:
    both = result(
        0, "health/daily", finding("a.one", Status.CRIT, 0), finding("a.two", Status.WARN, 0)
    )
    again = result(5, "incidents/fix", finding("a.one", Status.OK, 5))
    shown = place.states(both, again)["health/daily"]
    assert (shown.status, shown.word) == (Status.WARN, "warn")
    assert "a.two is warn." in shown.sentence


def test_what_was_treated_and_not_measured_again_is_not_known(places: Iterator[Place]) -> None:
    paused = result(0, "queues/monitor", finding("q.pauses", Status.CRIT, 0, remedies=[RESUME]))
    ok = finding("q.state", Status.OK, 5)
    resumed = result(5, "queues/resume", ok, acted=True, parameters={"queue": "emails"})
    site = next(places).site(paused, resumed)
    (monitor,) = (
        each
        for each in present(site.store.index, site.newest)
        if each.run.runbook == "queues/monitor"
    )
    assert monitor.status is Status.UNKNOWN
    html = home(site)
    assert "not measured again" in html
    assert "opsnb run queues/monitor -t demo" in html
    for other in (
        result(5, "queues/resume", ok, acted=True, parameters={"queue": "exports"}),
        result(5, "queues/resume", ok, parameters={"queue": "emails"}),  # a dry run
        result(-5, "queues/resume", ok, acted=True, parameters={"queue": "emails"}),
    ):
        assert next(places).statuses(paused, other)["queues/monitor"] is Status.CRIT


def test_a_run_in_which_no_check_ran_stays_as_it_is(place: Place) -> None:
    assert place.statuses(result(0, "own/cell")) == {"own/cell": Status.UNKNOWN}


def test_a_target_that_a_run_on_several_could_not_start_on_is_shown(place: Place) -> None:
    began = result(0, "health/daily", target="prod-*")
    failed = Member("prod-c", Status.UNKNOWN, 64, "PROD_C is not set.").finding
    site = place.site(began.model_copy(update={"fleet": began.run_id, "findings": [failed]}))
    html = home(site)
    assert 'id="target-prod-c"' in html
    assert "PROD_C is not set." in html
    assert 'id="target-prod-*"' not in html


def test_production_stands_before_the_demo_and_the_worst_of_it_first(place: Place) -> None:
    html = home(
        place.site(
            DAILY,
            result(0, "health/daily", finding("a.one", Status.OK, 0), target="prod"),
            result(0, "health/daily", finding("a.one", Status.WARN, 0), target="shop"),
        )
    )
    at = [html.index(f'id="target-{name}"') for name in ("shop", "prod", "demo")]
    assert at == sorted(at)


def test_a_check_is_shown_as_a_strip_of_its_last_runs(place: Place) -> None:
    statuses = [Status.OK] * 50 + [Status.CRIT] * 3 + [Status.OK] * 46 + [Status.WARN]
    ran = [
        result(-10 * back, "health/daily", finding("a.one", status, -10 * back, title="First"))
        for back, status in enumerate(reversed(statuses))
    ]
    html = home(place.site(*ran))
    assert 'aria-label="First, last 90 runs: 3 crit, 1 warn, 86 ok"' in html
    assert '<path class="ok" d="M0 13h80M86 13h92"/>' in html
    assert '<path class="crit" d="M80 8h6"/>' in html
    assert '<path class="warn" d="M178 11h2"/>' in html


def test_an_incident_is_open_until_its_last_run_is_ok(place: Place) -> None:
    def during(minute: float, incident: str, status: Status, target: str = "prod") -> RunResult:
        check = finding("a.one", status, minute)
        return result(minute, "incidents/fix", check, target=target, incident=incident)

    begun = [
        during(0, "INC-1", Status.CRIT),
        during(1, "INC-2", Status.CRIT),
        during(2, "INC-2", Status.WARN),
        during(3, "INC-3", Status.CRIT, target="demo"),
    ]
    html = home(place.site(*begun, during(4, "INC-1", Status.OK)))
    listed = html[html.index('id="incidents"') : html.index("</section>")]
    assert re.findall("<b>(INC-.)</b>", listed) == ["INC-2", "INC-3"]  # production before the demo
    assert f"records/{begun[2].run_id}.html" in listed
    assert "2 runs since" in listed
    assert "opsnb records list --incident INC-2 --limit 0" in listed
    ended = [during(5, "INC-2", Status.OK), during(6, "INC-3", Status.OK, target="demo")]
    assert 'id="incidents"' not in home(place.site(*ended))


def test_what_is_worse_than_a_week_ago_is_named(place: Place) -> None:
    limit = Threshold(metric="m", label="M", unit="%", warn=80)

    def measured(minute: float, value: float) -> RunResult:
        found = Finding.measured(value, limit, f"{value} %.").model_copy(
            update={
                "name": "host.disk",
                "title": "Disk space",
                "started": BEGAN + timedelta(minutes=minute),
            }
        )
        return result(minute, "health/daily", found, finding("a.two", Status.CRIT, minute))

    html = home(place.site(measured(-8 * DAY, 71), measured(0, 93)))
    worse = html[html.index('id="worse"') : html.index("</section>")]
    assert "Disk space</a> on demo: 93 %" in worse
    assert "was ok a week ago" in worse
    assert "a.two" not in worse  # it was as bad then
    assert 'id="worse"' not in home(place.site(measured(1, 70)))
