"""What the checks find, on a real RabbitMQ."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from broker import Broker
from installed import Site

MONITOR = "rabbitmq/monitor"


@pytest.fixture(scope="module")
def shop(broker: Broker) -> Broker:
    """A virtual host with a queue that nobody consumes, and an empty one."""
    broker.vhost("shop", {"orders": 5, "mails": 0})
    return broker


def test_depth_is_judged_by_its_limit_and_leads_to_the_purge(site: Site, shop: Broker) -> None:
    limits = {"rabbitmq_ready": {"warn": 2, "crit": 100}}
    site.configure(
        mq={"rabbitmq": {"url": shop.url(), "vhost": "shop"}, "thresholds": limits},
    )
    finding = site.run(MONITOR).finding("rabbitmq.depth")
    assert (finding["status"], finding["value"], finding["unit"]) == ("warn", 5, "messages")
    assert [row["queue"] for row in finding["rows"]] == ["orders", "mails"]
    (remedy,) = finding["remedies"]
    assert (remedy["runbook"], remedy["parameters"]) == ("rabbitmq/purge", {"queue": "orders"})


def test_a_queue_without_consumers_is_named_unless_it_needs_none(site: Site, shop: Broker) -> None:
    table = {"url": shop.url(), "vhost": "shop"}
    site.configure(mq={"rabbitmq": {**table, "unconsumed": ["mai*"]}})
    finding = site.run(MONITOR).finding("rabbitmq.consumers")
    assert finding["status"] == "warn"
    assert [row["queue"] for row in finding["rows"]] == ["orders"]
    site.configure(mq={"rabbitmq": {**table, "unconsumed": ["*"]}})
    assert site.run(MONITOR).finding("rabbitmq.consumers")["status"] == "ok"


def test_a_virtual_host_without_queues_is_ok(site: Site, broker: Broker) -> None:
    broker.vhost("empty", {})
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": "empty"}})
    result = site.run(MONITOR)
    assert result.exit_code == 0, result.written["findings"]


@pytest.fixture
def little_memory(broker: Broker) -> Iterator[None]:
    """A memory limit that every RabbitMQ is beyond."""
    broker.control("set_vm_memory_high_watermark", "0.00001")
    ends = time.monotonic() + 60
    while not broker.call("GET", "nodes")[0]["mem_alarm"]:
        assert time.monotonic() < ends
        time.sleep(0.2)
    yield
    broker.control("set_vm_memory_high_watermark", "0.4")
    while broker.call("GET", "nodes")[0]["mem_alarm"]:
        assert time.monotonic() < ends + 60
        time.sleep(0.2)


@pytest.mark.usefixtures("little_memory")
def test_an_alarm_of_memory_is_critical(site: Site, broker: Broker) -> None:
    site.configure(mq={"rabbitmq_url": broker.url()})
    finding = site.run(MONITOR).finding("rabbitmq.alarms")
    assert finding["status"] == "crit"
    assert "memory on opsnb@localhost" in finding["message"]


# --- absence of evidence -----------------------------------------------------------------------


def test_who_may_monitor_but_not_use_the_virtual_host_sees_no_queues(
    site: Site, shop: Broker
) -> None:
    url = shop.user("watcher", tags="monitoring")
    site.configure(mq={"rabbitmq": {"url": url, "vhost": "shop"}})
    result = site.run(MONITOR)
    assert result.finding("rabbitmq.ping")["status"] == "ok"
    assert result.finding("rabbitmq.alarms")["status"] == "ok"
    for name in ("rabbitmq.depth", "rabbitmq.consumers"):
        finding = result.finding(name)
        assert finding["status"] == "unknown"
        assert "lacks a right" in finding["message"]


def test_who_may_not_monitor_sees_no_alarms(site: Site, shop: Broker) -> None:
    url = shop.user("manager", tags="management", vhost="shop")
    site.configure(mq={"rabbitmq": {"url": url, "vhost": "shop"}})
    result = site.run(MONITOR)
    assert result.finding("rabbitmq.depth")["value"] == 5
    alarms = result.finding("rabbitmq.alarms")
    assert alarms["status"] == "unknown"
    assert "Not monitor user" in alarms["message"]


def test_a_wrong_password_is_no_outage(site: Site, broker: Broker) -> None:
    site.configure(mq={"rabbitmq_url": broker.url(password="wrong")})
    result = site.run(MONITOR)
    ping = result.finding("rabbitmq.ping")
    assert (ping["status"], ping["failure"]) == ("unknown", "Misconfigured")
    assert result.finding("rabbitmq.depth")["status"] == "skipped"


def test_an_unknown_virtual_host_is_no_empty_one(site: Site, broker: Broker) -> None:
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": "nowhere"}})
    finding = site.run(MONITOR).finding("rabbitmq.depth")
    assert finding["status"] == "unknown"
    assert "no virtual host nowhere" in finding["message"]


# --- an outage ---------------------------------------------------------------------------------


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL at which nothing listens, as long as the test holds its port."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://admin:secret-4711@127.0.0.1:{held.getsockname()[1]}"


def test_one_outage_is_one_alarm(site: Site, nobody: str) -> None:
    site.configure(mq={"rabbitmq_url": nobody})
    result = site.run(MONITOR)
    ping = result.finding("rabbitmq.ping")
    assert (result.exit_code, ping["status"]) == (2, "crit")
    for name in ("rabbitmq.alarms", "rabbitmq.depth", "rabbitmq.consumers"):
        skipped = result.finding(name)
        assert (skipped["status"], skipped["caused_by"]) == ("skipped", "rabbitmq.ping")
    assert "secret-4711" not in str(result.written)


def test_service_down_offers_to_start_it(site: Site, nobody: str) -> None:
    site.configure(
        mq={"rabbitmq_url": nobody, "restart": {"rabbitmq": ["systemctl", "start", "x"]}}
    )
    asked = site.evaluate(
        "[(each.title, each.state, each.command) for each in dependencies(load_target('mq'))]",
        imports="opsnb\nfrom opsnb.config.file import load_target\n"
        "from opsnb.systems.dependencies.asking import dependencies",
    )
    assert asked == "[('RabbitMQ', 'down', ('systemctl', 'start', 'x'))]"
