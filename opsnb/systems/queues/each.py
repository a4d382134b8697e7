"""Work on chosen jobs, each judged by itself in the step that changes it, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from opsnb.actions.action import Permit
from opsnb.config.target import Target
from opsnb.systems.queues import layout, scripts
from opsnb.systems.queues.connection import Pace, Session, writing
from opsnb.systems.queues.jobs import Chosen, Selection

_BATCH = 500
_RETRY_KEYS = ("events", "wait", "active", "marker", "prioritized", "pc")


@dataclass
class EachChosen:
    """Retries or removes each chosen job that still is as it was chosen."""

    target: Target
    queue: str
    selection: Selection
    chosen: Chosen
    retries: bool
    """Whether it retries them; else it removes them."""
    skipped: int = 0
    """How many had left their state meanwhile and were left alone."""
    gone: int = 0
    """How many have no data any more, so that nothing is there to retry."""
    running: int = 0
    """How many were being worked on meanwhile and were left alone."""

    def work(self, permit: Permit) -> Iterator[int]:
        """Do it; yields after each batch how many are done."""
        with writing(self.target, permit) as session:
            yield from self.rest(session)

    def rest(self, session: Session, done: int = 0) -> Iterator[int]:
        """Do it to all but the first `done`, which are gone already."""
        queue, pace = session.queue(self.queue), Pace(_BATCH)
        ids = islice(self.chosen.ids(with_held=self.retries), done, None)
        while batch := list(islice(ids, pace.start())):
            answers = session.run(self._each(session, queue, batch))
            pace.end()
            done += answers.count(scripts.DONE)
            self.running += answers.count(scripts.RUNNING)
            gone = answers.count(scripts.GONE) if self.retries else 0
            self.gone += gone
            self.skipped += sum(answer < 0 for answer in answers) - gone
            yield done

    async def _each(self, session: Session, queue: Any, ids: Iterable[str]) -> list[int]:
        """Do it to `ids`, and return what the script answers for each."""
        keys = [queue.keys["meta"], queue.toKey(self.selection.state)]
        keys += [queue.keys[name] for name in (_RETRY_KEYS if self.retries else ("repeat",))]
        arguments = [queue.toKey(""), self.selection.until_ms, *ids]
        script = scripts.RETRY if self.retries else scripts.REMOVE
        return list(await layout.run(session, script, keys, arguments))

    @property
    def words(self) -> str:
        """What the measured effect must add: how many were left alone."""
        words = ""
        if self.gone:
            words += (
                f" Of {self.gone} only the ids are left: their data were evicted or removed. They "
                "cannot be retried; queues/clean_failed removes them."
            )
        if self.skipped:
            words += (
                f" {self.skipped} had left that state when their turn came and were left alone."
            )
        if self.running:
            words += f" {self.running} were being worked on and were left alone."
        return words


def running_words(chosen: Chosen) -> str:
    """Return how many more match and are left alone because they are being worked on."""
    if not chosen.running:
        return ""
    return f"{chosen.running} more are left alone: their lock is held, so a worker is at them."
