"""The purge removes what was planned, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from broker import Broker
from installed import Result, Site

PURGE = "rabbitmq/purge"


@pytest.fixture
def purged(broker: Broker) -> Iterator[str]:
    """A virtual host with a queue to purge and one to leave alone."""
    broker.vhost("purged", {"orders": 12, "orders.dead": 4})
    yield "purged"
    broker.call("DELETE", "vhosts/purged")


def purge(site: Site, *words: str) -> Result:
    return site.run(PURGE, "-p", "queue=orders", *words)


def test_without_apply_nothing_is_removed(site: Site, broker: Broker, purged: str) -> None:
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    action = purge(site).action
    assert (action["state"], action["planned"], action["applied"]) == ("planned", 12, 0)
    assert action["command"] == "rabbitmqctl purge_queue orders -p purged"
    assert broker.ready(purged) == {"orders": 12, "orders.dead": 4}


def test_the_messages_of_that_queue_are_removed(site: Site, broker: Broker, purged: str) -> None:
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    for number in range(12, 112):  # more than one batch
        broker.publish(purged, "orders", f"message {number}")
    broker.wait_for(purged, {"orders": 112, "orders.dead": 4})
    action = purge(site, "--apply").action
    assert (action["applied"], action["verified"]) == (112, True)
    assert broker.ready(purged) == {"orders": 0, "orders.dead": 4}


def test_no_more_than_asked_for_the_oldest_first(site: Site, broker: Broker, purged: str) -> None:
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    action = purge(site, "-p", "most=10", "--apply").action
    assert (action["planned"], action["applied"], action["verified"]) == (10, 10, True)
    assert broker.ready(purged)["orders"] == 2
    request = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    (oldest,) = broker.call("POST", f"queues/{purged}/orders/get", request)
    assert oldest["payload"] == "message 10"


def test_an_empty_queue_needs_nothing(site: Site, broker: Broker, purged: str) -> None:
    broker.vhost(purged, {"idle": 0})
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    result = site.run(PURGE, "-p", "queue=idle", "--apply")
    assert result.action["summary"] == "Nothing to do: No messages are ready in idle."


@pytest.mark.parametrize("queue", ["order", ""])
def test_an_unknown_queue_is_refused(site: Site, broker: Broker, purged: str, queue: str) -> None:
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    refused = site.opsnb("run", PURGE, "-p", f"queue={queue}", "--apply")
    assert refused.returncode == 64
    assert "orders" in refused.stdout
    assert broker.ready(purged) == {"orders": 12, "orders.dead": 4}


def test_a_protected_target_wants_its_name(site: Site, broker: Broker, purged: str) -> None:
    site.configure(mq={"protected": True, "rabbitmq": {"url": broker.url(), "vhost": purged}})
    refused = purge(site, "--apply")
    assert (refused.exit_code, refused.action["state"]) == (77, "refused")
    assert broker.ready(purged)["orders"] == 12
    confirmed = purge(site, "-p", "most=3", "--apply", "--confirm", "mq")
    assert confirmed.action["applied"] == 3


def test_a_stream_is_refused(site: Site, broker: Broker, purged: str) -> None:
    stream = {"durable": True, "arguments": {"x-queue-type": "stream"}}
    broker.call("PUT", f"queues/{purged}/log", stream)
    broker.publish(purged, "log", "kept")
    broker.wait_for(purged, {"orders": 12, "orders.dead": 4, "log": 1})
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    refused = site.run(PURGE, "-p", "queue=log", "--apply")
    assert refused.exit_code == 77
    assert "is a stream" in refused.action["error"]


CONTINUED = """
from opsnb.actions.action import CannotTell
from opsnb.config.file import load_target
from opsnb.model import ActionRecord
from opsnb_rabbitmq import purge

former = ActionRecord(id="1", name=purge.name, title=purge.title, target="mq", applied=5)
try:
    purge.again(load_target("mq"), former, "orders")
except CannotTell as error:
    print(error)
"""


def test_after_an_interruption_the_operator_decides(
    site: Site, broker: Broker, purged: str
) -> None:
    site.configure(mq={"rabbitmq": {"url": broker.url(), "vhost": purged}})
    ended = site.call("python", "-c", CONTINUED)
    assert ended.stdout == "RabbitMQ does not number the messages of a queue.\n", ended.stderr
