"""Its fault is one to practise on, beside opsnb's own: on a demo that has a RabbitMQ."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest
from broker import Broker
from installed import Site

FAULT = "rabbitmq-backlog"
_LIMIT_S = 300


@pytest.fixture
def demo(site: Site) -> Iterator[None]:
    """A demo stack of its own, which is up.

    Not pytest's folder: its long path would pass the limit of Unix sockets.
    """
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        site.variables["OPSNB_DEMO_HOME"] = f"{folder}/demo"
        started = site.opsnb("demo", "up")
        try:
            assert not started.returncode, started.stderr
            yield
        finally:
            site.opsnb("demo", "down")


@pytest.mark.usefixtures("demo")
def test_a_drill_on_it_ends_when_the_queue_is_purged(site: Site, broker: Broker) -> None:
    broker.vhost("drilled", {})
    table = {"url": broker.url(), "vhost": "drilled"}
    site.configure(demo={"rabbitmq": table})
    refused = site.opsnb("demo", "fault", FAULT)
    assert "no RabbitMQ to practise on" in refused.stderr

    site.configure(demo={"rabbitmq": {**table, "unconsumed": ["*.dead"]}})
    drill = site.start("opsnb", "drill", FAULT, "--json")
    wait_for(broker, drill)
    found = site.run("rabbitmq/monitor", "-t", "demo").finding("rabbitmq.depth")
    assert found["status"] == "warn"
    next_run = found["remedies"][0]["parameters"]
    assert next_run == {"queue": "orders.dead"}
    fixed = site.run("rabbitmq/purge", "-t", "demo", "-p", "queue=orders.dead", "--apply")
    assert fixed.action["applied"] == 1000
    told, said = drill.communicate(timeout=_LIMIT_S)
    assert drill.returncode == 0, said
    record = json.loads(told)
    assert record["runbook"] == f"drill/{FAULT}"
    assert "You ran: rabbitmq/monitor, rabbitmq/purge." in record["findings"][0]["message"]
    assert broker.ready("drilled") == {}  # the drill cleared what was left

    assert site.opsnb("site", "build", "--out", str(site.folder / "site")).returncode == 0
    assert FAULT in (site.folder / "site" / "drills.html").read_text()


def wait_for(broker: Broker, drill: subprocess.Popen[str]) -> None:
    """Wait until the fault is there to be seen."""
    ends = time.monotonic() + _LIMIT_S
    while (broker.ready("drilled").get("orders.dead") or 0) < 1500:
        assert drill.poll() is None, drill.communicate()
        assert time.monotonic() < ends
        time.sleep(0.2)
