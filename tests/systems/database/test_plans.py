"""Plans of statements: read without running them, or measured and rolled back."""

from __future__ import annotations

import pytest

from opsnb.config.target import Target
from opsnb.demo import faults, stack
from opsnb.errors import BadAnswer, TimedOut
from opsnb.model import Status
from opsnb.systems import database
from tests.operate.database import query

SCENES = "SELECT p.name, count(*) FROM scenes s JOIN projects p ON p.id = s.project_id GROUP BY 1"


def analyses(target: Target) -> int:
    ((count,),) = query(target, "SELECT count(*) FROM analyses")
    return int(count)


def demand_generic_plans(target: Target) -> None:
    ((version,),) = query(target, "SHOW server_version_num")
    if int(version) < 160000:
        assert "Before version 16" in database.plan(target, "SELECT $1").message
        pytest.skip("this server explains no statement without its values")


def test_the_slowest_that_runs_is_explained(demo: Target) -> None:
    demand_generic_plans(demo)
    faults.inject("slow-statement")
    found = database.plan(demo)
    assert found.status is Status.OK
    assert "the most expensive step is Seq Scan on public.events" in found.message
    scan = found.rows[-1]
    assert (scan["step"].strip(), scan["share_percent"] > 90) == (
        "Seq Scan on public.events",
        True,
    )
    assert "events.scene_id = $1" in scan["condition"]


def test_a_select_is_measured_step_by_step(demo: Target) -> None:
    found = database.plan(demo, f"{SCENES};", measured=True)
    assert found.value is not None
    assert (found.unit, found.value > 0) == ("ms", True)
    assert sum(row["share_percent"] for row in found.rows) == pytest.approx(100, abs=5)
    (scan,) = (row for row in found.rows if "Scan" in row["step"] and "scenes" in row["step"])
    assert scan["rows"] == 3000


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM analyses",
        "WITH gone AS (DELETE FROM analyses RETURNING id) SELECT * FROM gone",
        "SELECT 1; DELETE FROM analyses",
        "SELECT 1; COMMIT; DELETE FROM analyses",
        "SELECT * FROM scenes WHERE id = $1; COMMIT; DELETE FROM analyses",
    ],
)
def test_nothing_is_written(demo: Target, statement: str, *, measured: bool) -> None:
    before = analyses(demo)
    if measured or ";" in statement:
        with pytest.raises(BadAnswer, match=r"has to be (one|run)"):
            database.plan(demo, statement, measured=measured)
    else:
        assert "Not run" in database.plan(demo, statement).message
    assert analyses(demo) >= before  # the service adds some


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nextval(pg_get_serial_sequence('analyses', 'id'))",
        "SELECT * FROM analyses FOR UPDATE",
        "SELECT * FROM nowhere",
        "no SQL at all",
    ],
)
def test_what_cannot_be_measured_is_told_in_a_sentence(demo: Target, statement: str) -> None:
    with pytest.raises(BadAnswer, match=r"was not explained .* it has to be one SELECT"):
        database.plan(demo, statement, measured=True)


def test_a_statement_that_does_not_end_is_ended(demo: Target) -> None:
    with pytest.raises(TimedOut, match="rolled back; raise the limit"):
        database.plan(demo, "SELECT pg_sleep(60)", measured=True, limit_s=0.5)
    assert "Not run" in database.plan(demo, "SELECT pg_sleep(60)", limit_s=0.5).message


def test_values_are_needed_to_measure(demo: Target) -> None:
    with pytest.raises(BadAnswer, match="give the statement with its values"):
        database.plan(demo, "SELECT * FROM scenes WHERE id = $1", measured=True)
    demand_generic_plans(demo)
    found = database.plan(demo, "SELECT * FROM scenes WHERE id = $1")
    assert found.rows[0]["step"] == "Index Scan using scenes_pkey on public.scenes"


def test_our_own_statements_are_not_taken_for_the_services(demo: Target) -> None:
    stack.set_traffic(False)
    try:
        query(demo, "SELECT pg_stat_statements_reset()")
        for look in (database.blocking, database.connections, database.table_sizes, database.size):
            look(demo)
        with pytest.raises(TimedOut):
            database.plan(demo, "SELECT pg_sleep(60)", measured=True, limit_s=0.2)
        told = [each.text for each in database.busiest(demo, 0.5)]
        seen = query(demo, "SELECT query FROM pg_stat_statements WHERE query LIKE '%/* opsnb */'")
    finally:
        stack.set_traffic(True)
    assert len(seen) > 5
    assert not [text for text in told if "pg_blocking_pids" in text or "opsnb" in text]
