"""Retry or remove chosen jobs in batches; the script that changes a job checks it first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.systems.queues import layout, scripts
from opsnb.systems.queues.batches import BatchPace
from opsnb.systems.queues.connection import Queue, writing
from opsnb.systems.queues.jobs import Chosen, Selection
from opsnb.view.formats import counted

_BATCH = 500
_RETRY_KEYS = ("events", "wait", "active", "marker", "prioritized", "pc")


@dataclass
class JobChange:
    """Retries or removes each chosen job that has not changed since."""

    target: Target
    queue: str
    selection: Selection
    chosen: Chosen
    retries: bool
    """Whether it retries them; else it removes them."""
    skipped: int = 0
    """How many had left their state and were skipped."""
    gone: int = 0
    """How many have lost their data, so that they cannot be retried."""
    running: int = 0
    """How many were running and were skipped."""

    def work(self, permit: Permit) -> Iterator[int]:
        """Yield after each batch how many jobs are done."""
        with writing(self.target, permit) as session:
            yield from self.rest(session.queue(self.queue))

    def rest(self, queue: Queue, done: int = 0) -> Iterator[int]:
        """Change all but the first `done`, which are gone already."""
        pace = BatchPace(_BATCH)
        ids = islice(self.chosen.ids(with_held=self.retries), done, None)
        while batch := list(islice(ids, pace.start())):
            answers = queue.run(self._change(queue, batch))
            pace.end()
            done += answers.count(scripts.DONE)
            self.running += answers.count(scripts.RUNNING)
            gone = answers.count(scripts.GONE) if self.retries else 0
            self.gone += gone
            self.skipped += sum(answer < 0 for answer in answers) - gone
            yield done

    async def _change(self, queue: Queue, ids: Iterable[str]) -> list[int]:
        """Change `ids`, and return the script's answer for each."""
        script = scripts.RETRY if self.retries else scripts.REMOVE
        keys = ("meta", self.selection.state, *(_RETRY_KEYS if self.retries else ("repeat",)))
        arguments = [queue[""], self.selection.until_ms, *ids]
        return list(await layout.run(queue, script, keys, arguments))

    @property
    def words(self) -> str:
        """How many jobs were skipped, to add to the measured effect."""
        words = ""
        if self.gone:
            words += (
                f" {counted(self.gone, 'job')} cannot be retried: the data are gone from Redis. "
                "queues/clean_failed removes the ids that are left."
            )
        if self.skipped:
            words += f" Skipped, no longer in that state: {counted(self.skipped, 'job')}."
        if self.running:
            words += f" Skipped, running now: {counted(self.running, 'job')}."
        return words


def running_words(chosen: Chosen) -> str:
    """Return how many more match and stay because they are running."""
    if not chosen.running:
        return ""
    return f"{chosen.running} more stay: a worker holds their lock and is running them."
