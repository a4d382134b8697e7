"""Work on chosen jobs, each by itself, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from opsnb.guard import Permit
from opsnb.systems.queues import scripts
from opsnb.systems.queues.connection import Pace, Session, writing
from opsnb.systems.queues.jobs import Chosen, Selection
from opsnb.target import Target

_BATCH = 200

Arguments = tuple[list[str], list[Any]]
"""The keys and the arguments of a script."""


@dataclass
class EachChosen:
    """Does a script to each chosen job that still is as it was chosen."""

    target: Target
    queue: str
    selection: Selection
    chosen: Chosen
    script: str
    arguments: Callable[[Any, Selection, str], Arguments]
    """Returns those of the script for one job."""
    skipped: int = 0
    """How many had left their state meanwhile and were left alone."""

    def work(self, permit: Permit) -> Iterator[int]:
        """Do it; yields after each batch how many are done."""
        with writing(self.target, permit) as session:
            queue, done, pace = session.queue(self.queue), 0, Pace(_BATCH)
            ids = self.chosen.ids(with_held=self.script == scripts.RETRY)
            while batch := list(islice(ids, pace.start())):
                answers = session.run(self.each(session, queue, batch))
                pace.end()
                done += answers.count(scripts.DONE)
                self.skipped += len(batch) - answers.count(scripts.DONE)
                yield done

    async def each(self, session: Session, queue: Any, ids: list[str]) -> list[int]:
        """Do it to `ids`, and return what the script answers for each."""
        script = session.client.register_script(self.script)
        async with session.client.pipeline(transaction=False) as pipe:
            for job in ids:
                keys, arguments = self.arguments(queue, self.selection, job)
                await script(keys=keys, args=arguments, client=pipe)
            return list(await pipe.execute())

    @property
    def words(self) -> str:
        """What the measured effect must add: how many were left alone."""
        if not self.skipped:
            return ""
        return f" {self.skipped} had left that state when their turn came and were left alone."
