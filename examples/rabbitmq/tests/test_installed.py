"""The package beside opsnb, both installed from their wheels: everything knows it."""

from __future__ import annotations

import json

from broker import ADMIN_PASSWORD, Broker
from installed import Site


def test_opsnb_comes_from_its_wheel_and_lists_the_runbooks_of_the_package(site: Site) -> None:
    where = site.evaluate(
        "opsnb.__file__, opsnb_rabbitmq.__file__", imports="opsnb, opsnb_rabbitmq"
    )
    assert where.count(str(site.environment)) == 2
    listed = {each["id"]: each for each in json.loads(site.opsnb("list", "--json").stdout)}
    assert listed["rabbitmq/monitor"]["acts"] is False
    assert listed["rabbitmq/purge"]["acts"] is True
    assert "health/daily" in listed
    shown = site.opsnb("show", "rabbitmq/purge")
    assert shown.returncode == 0
    assert "the queue, spelled out" in shown.stdout


def test_the_commands_start_without_the_driver(site: Site) -> None:
    loaded = site.evaluate(
        "'opsnb_rabbitmq.settings' in sys.modules, 'httpx' in sys.modules",
        imports="sys, opsnb.config.target; from opsnb.config.systems import systems; systems()",
    )
    assert loaded == "True False"


def test_a_run_is_recorded_and_published_without_its_password(site: Site, broker: Broker) -> None:
    broker.vhost("published", {"orders": 3})
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": "published"}})
    result = site.run("rabbitmq/monitor")
    assert result.finding("rabbitmq.ping")["status"] == "ok"
    assert result.finding("rabbitmq.depth")["value"] == 3
    assert site.opsnb("records", "show", result.written["run_id"]).returncode == 0
    built = site.opsnb("site", "build", "--out", str(site.folder / "site"))
    assert built.returncode == 0, built.stderr
    pages = site.folder / "site"
    assert "Monitor RabbitMQ" in (pages / "runbooks" / "rabbitmq" / "monitor.html").read_text()
    assert "<h2>RabbitMQ<" in (pages / "runbooks" / "index.html").read_text()
    assert list(pages.glob(f"records/**/*{result.written['run_id']}*"))
    written = [path for path in site.folder.rglob("*") if path.is_file()]
    named = [
        path
        for path in written
        if path.name != "opsnb.toml" and ADMIN_PASSWORD.encode() in path.read_bytes()
    ]
    assert not named


def test_the_doctor_reports_it_and_names_no_password(site: Site, broker: Broker) -> None:
    site.configure(mq={"rabbitmq_url": broker.url()})
    said = site.opsnb("doctor").stdout
    assert "RabbitMQ connection" in said
    assert "RabbitMQ memory and disk alarms" in said
    assert ADMIN_PASSWORD not in said


def test_a_key_that_it_does_not_know_is_refused_with_a_suggestion(site: Site) -> None:
    site.configure(mq={"rabbitmq": {"url": "http://localhost:1", "vhosts": "/"}})
    refused = site.opsnb("run", "rabbitmq/monitor")
    assert refused.returncode == 64
    assert "Did you mean 'vhost'?" in refused.stderr


def test_a_target_without_it_is_none_of_its_business(site: Site) -> None:
    site.configure(other={"host": "local"})
    finding = site.run("rabbitmq/monitor").finding("rabbitmq.ping")
    assert finding["status"] == "unknown"
    assert "names no rabbitmq_url" in finding["message"]
    assert "RabbitMQ" not in site.opsnb("doctor").stdout


def test_its_runbooks_follow_the_rules(site: Site) -> None:
    folder = site.evaluate("opsnb_rabbitmq.__path__[0]", imports="opsnb_rabbitmq")
    checked = site.opsnb("check", folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
