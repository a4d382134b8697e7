"""The steps of an action, each timed and journalled before and after."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opsnb.actions.action import Permit, require
from opsnb.model import ActionRecord, Row
from opsnb.redaction import outside

_DONE = "done"
_SKIPPED = "not configured"
_SAID = 160


@dataclass(frozen=True)
class Step:
    """One step. `do` returns what it reports."""

    name: str
    command: str
    do: Callable[[Permit], str | None]
    again: bool = False
    """Whether a run that continues repeats it, though it was done."""
    is_there: bool = True
    """False for a step that is not configured: it is shown, and never counts as done."""


class Steps:
    """The steps of a plan, and the rows that show their progress.

    The rows are the plan's sample, so that the journal always has them.
    """

    def __init__(self, steps: Sequence[Step], former: ActionRecord | None) -> None:
        before = {row["step"]: row for row in former.sample} if former else {}
        is_over = all(row["state"] in (_DONE, _SKIPPED) for row in before.values())
        self.steps = steps
        self.rows: list[Row] = [
            {
                "step": step.name,
                "command": step.command,
                "state": "to do" if step.is_there else _SKIPPED,
                "took_s": None,
                "said": "",
            }
            | _kept(before.get(step.name, {}), again=step.again and not is_over)
            for step in steps
        ]
        self._before = self._count()

    @property
    def done(self) -> int:
        """How many of the remaining steps are done."""
        return self._count() - self._before

    def _count(self) -> int:
        return sum(row["state"] == _DONE for row in self.rows)

    @property
    def left(self) -> list[str]:
        """The names of the steps that are not done."""
        return [row["step"] for row in self.rows if row["state"] not in (_DONE, _SKIPPED)]

    @property
    def skipped(self) -> list[str]:
        """The names of the steps that are not configured."""
        return [row["step"] for row in self.rows if row["state"] == _SKIPPED]

    @property
    def stopped_at(self) -> Row | None:
        """The step that failed or was interrupted; None when there is none."""
        states = ("failed", "under way")
        return next((row for row in self.rows if row["state"] in states), None)

    def work(self, permit: Permit) -> Iterator[int]:
        """Do the remaining steps in order; yields before and after each how many are done."""
        require(permit)
        for step, row in zip(self.steps, self.rows, strict=True):
            if row["state"] in (_DONE, _SKIPPED):
                continue
            row["state"] = "under way"
            yield self.done
            clock = time.monotonic()
            try:
                row["said"] = outside.last_line(step.do(permit) or "", _SAID)
            except BaseException as error:
                row["state"], row["said"] = "failed", outside.head(str(error), _SAID)
                raise
            finally:
                row["took_s"] = round(time.monotonic() - clock, 1)
            row["state"] = _DONE
            yield self.done


def words(command: Sequence[str]) -> str:
    """Return a command as it is typed, without its environment variables."""
    typed = list(command)
    if typed[:1] == ["env"]:
        typed = typed[1:]
        while typed and "=" in typed[0]:
            typed.pop(0)
    return shlex.join(typed)


def _kept(before: Row, *, again: bool) -> dict[str, Any]:
    if again or before.get("state") != _DONE:
        return {}
    return {key: before[key] for key in ("state", "took_s", "said")}
