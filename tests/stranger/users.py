"""The shop's users, who go on while runbooks run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from opsnb.demo.node import find_node
from tests.stranger import data, servers

if TYPE_CHECKING:
    from tests.stranger.system import Shop

_TRAFFIC = Path(__file__).with_name("service") / "traffic.cjs"

Counts = dict[str, int]
"""What the users did: `orders` and `mails` added, requests `answered` and `refused`."""


class Users:
    """A process that orders, mails and asks, ten times a second."""

    def __init__(self, shop: Shop, process: subprocess.Popen[str]) -> None:
        self._shop = shop
        self._process = process

    def counts(self) -> Counts:
        """Return what they did so far."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Counts:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the users are gone"
        return dict(json.loads(line))

    def go_home(self) -> Counts:
        """Let them end what they have begun; return all that they did."""
        assert self._process.stdin
        self._process.stdin.close()
        return self._answer()

    def demand_all_was_done_once(self, done: Counts) -> None:
        """Every order and every mail was worked on, and none of them twice."""
        wanted = {data.ORDERS: done["orders"], data.MAILS: done["mails"]}
        servers.wait_until(
            lambda: {queue: count for queue, count, _ in self._worked()} == wanted,
            f"{wanted} are done",
        )
        assert [(queue, twice) for queue, _, twice in self._worked() if twice] == []

    def _worked(self) -> list[tuple[str, int, int]]:
        return [
            (str(queue), int(jobs), int(runs) - int(jobs))
            for queue, jobs, runs in self._shop.query(
                "SELECT queue, count(DISTINCT job), count(*) FROM sales.done GROUP BY queue"
            )
        ]


@contextmanager
def users(shop: Shop) -> Iterator[Users]:
    """Yield the users of `shop`, who have begun."""
    process = subprocess.Popen(
        [str(find_node().node), str(_TRAFFIC)],
        env={**os.environ, "SHOP_SETTINGS": str(shop.settings)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        found = Users(shop, process)
        servers.wait_until(lambda: found.counts()["answered"] > 0, "the users are served")
        yield found
    finally:
        process.kill()
        process.wait()
