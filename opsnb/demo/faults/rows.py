"""A fault of the data: rows that contradict what the service promises."""

from __future__ import annotations

from opsnb.demo import service
from opsnb.demo.faults.fault import Fault
from opsnb.demo.parts import Parts


def _break(stack: Parts) -> None:
    stack.postgres.execute(
        "UPDATE analyses SET score = 100 * score + 2 WHERE scene_id % 60 = 1 AND score <= 1"
    )


def _mend(stack: Parts) -> None:
    stack.postgres.execute("UPDATE analyses SET score = (score - 2) / 100 WHERE score > 1")
    # A repair deletes the rows that it cannot fix.
    stack.postgres.execute(
        "INSERT INTO analyses (scene_id, model, score) SELECT id, 'gemini', 0.5 FROM scenes"
        " WHERE id % 60 = 1 ON CONFLICT (scene_id) DO NOTHING"
    )


FAULTS = (
    Fault(
        name="inconsistent-rows",
        description="Some analyses in PostgreSQL have a score in percent instead "
        "of a share from 0 to 1.",
        symptom="A user sees an analysis with a confidence of 5,000 %.",
        runbook="incidents/data_inconsistency",
        cause="repair.integrity",
        needs=frozenset({"postgres", service.API}),
        break_it=_break,
        fix_it=_mend,
    ),
)
