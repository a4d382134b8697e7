"""Many queues, many jobs and huge values are read within bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from opsnb.handbook.troubleshooting.failed_jobs import Failed
from opsnb.model import Status
from opsnb.systems import queues
from opsnb.systems.cache.settings import Cache
from tests.systems import redis_server
from tests.systems.redis_server import Server

MOST_MIB = 200
QUEUES = 300
FILL = """
local reason, stack = string.rep('lorem ipsum ', ARGV[4] / 12), ARGV[5]
for job = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local ended = 1700000000000 + job
  redis.call('HSET', ARGV[1] .. job, 'name', string.rep('n', ARGV[6]), 'data', '{}',
    'timestamp', ended - 500, 'processedOn', ended - 200, 'finishedOn', ended,
    'failedReason', '502 <html>' .. reason,
    'stacktrace', '["Error: first", "Error: 502 ' .. reason .. stack .. '"]')
  redis.call('ZADD', KEYS[1], ended, job)
  redis.call('XADD', KEYS[2], '*', 'event', 'failed', 'jobId', job, 'failedReason', reason)
end
"""
STACK = (
    r"\n    at parse (/srv/app/src/parse.js:4:2)"
    r"\n    at async Worker.run (/srv/app/node_modules/bullmq/worker.js:1:1)"
)
ALL = """
import json, re, sys
from pathlib import Path
from opsnb.handbook.troubleshooting import high_queue_length as backlog
from opsnb.handbook.troubleshooting import failed_jobs as failures
from opsnb.checks.running import Measurement
from opsnb.systems import queues
from opsnb.config.target import Target

target, queue = Target(name="t").changed(redis_url=sys.argv[1]), sys.argv[2]
jobs = failures.Failed(queue)
found = Measurement(target).run(
    [
        *(check.given() for check in (queues.depth, queues.failures, queues.oldest)),
        *(check.given() for check in (queues.workers, queues.pauses, queues.processing)),
        *(check.given(queue) for check in (queues.states, queues.throughput, queues.times)),
        *(check.given(queue) for check in (queues.reasons, backlog.stuck, backlog.slow_jobs)),
        *(check.given(jobs) for check in (failures.rate, failures.upstream, failures.defect)),
    ]
)
queues.failed_jobs(target, queue, 100)
# Not getrusage, which counts what the parent had at the fork.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(json.dumps({
    "mib": int(peak[1]) // 1024,
    "findings": {each.name: [each.status, each.message] for each in found},
}))
"""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with 300 small queues, one of 50,000 failed jobs, and one of huge errors."""
    server = redis_server.start(tmp_path_factory.mktemp("redis"))
    client: Any = server.client()
    fill = client.register_script(FILL)
    for queue, jobs, page, size, name in (
        ("many", 50_000, 5000, 24, 4),
        ("huge", 60, 1, 1_000_000, 100_000),
    ):
        keys = [f"bull:{queue}:failed", f"bull:{queue}:events"]
        for first in range(1, jobs + 1, page):
            fill(keys, [f"bull:{queue}:", first, first + page - 1, size, STACK, name])
        client.hset(f"bull:{queue}:meta", mapping={"version": "bullmq:5.7.1", "paused": 1})
        client.set(f"bull:{queue}:id", jobs)
    for number in range(QUEUES):
        client.hset(f"bull:q{number}:meta", "version", "bullmq:5.7.1")
        client.lpush(f"bull:q{number}:wait", *range(number or 1))
    yield server
    server.kill()


@pytest.mark.parametrize("queue", ["many", "huge"])
def test_every_check_stays_within_its_bounds(full: Server, queue: str) -> None:
    client: Any = full.client()
    before = client.info("stats")["total_net_output_bytes"]
    done = subprocess.run(
        [sys.executable, "-c", ALL, Cache.of(full.target()).url, queue],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    seen = json.loads(done.stdout)
    assert seen["mib"] < MOST_MIB
    assert (client.info("stats")["total_net_output_bytes"] - before) / 2**20 < 20
    unknown = [each for each in seen["findings"].items() if each[1][0] == "unknown"]
    assert not unknown
    assert seen["findings"]["failures.upstream"][0] == "crit"


def test_the_stack_of_a_huge_error_is_still_read(full: Server) -> None:
    (group,) = Failed("huge").of(full.target()).groups
    assert (len(group.jobs), group.frame) == (60, "parse (parse.js)")
    assert max(map(len, group.names)) <= 60


def test_of_many_queues_the_worst_stand_first(full: Server) -> None:
    found = queues.depth(full.target())
    assert found.status is Status.WARN
    assert len(found.rows) == QUEUES + 2
    assert [row["queue"] for row in found.rows[:2]] == ["q299", "q298"]
