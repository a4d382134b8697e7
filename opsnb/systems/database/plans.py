"""How PostgreSQL executes a statement: its plan, and which step takes most of the time.

Handbook, section 5.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import BadAnswer, TimedOut
from opsnb.model import Finding, Row, Status
from opsnb.redaction import outside
from opsnb.systems.database.connecting import connection
from opsnb.systems.database.cursor import Connection, single
from opsnb.systems.database.explaining import GENERIC_PLANS, busiest
from opsnb.systems.database.failures import SYSTEM, reason
from opsnb.systems.database.words import quoted

_LIMIT_S = 150.0  # a sample and a measurement, a minute each at most
_NOT_ABOUT_IT = (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable)
"""Errors that do not blame the statement itself."""
_PLACEHOLDER = re.compile(r"\$\d")
_SHOWN = 100
_CONDITIONS = ("Index Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter")
_GIVE = "give the statement with its values: -p statement='SELECT ...'"

Node = dict[str, Any]


@check(needs=(SYSTEM,), limit_s=_LIMIT_S)
def plan(
    target: Target,
    statement: str = "",
    *,
    measured: bool = False,
    limit_s: float = 10.0,
    seconds: float = 3.0,
) -> Finding:
    """Plan of a statement

    Of `statement`, or of the slowest one that ends within the next `seconds`. It is only run if
    `measured`: then it must be a SELECT, runs for `limit_s` seconds at most, and in a read-only
    transaction that is rolled back.
    """
    text = (statement or _slowest(target, seconds)).strip().rstrip("; \n")
    if not text:
        return Finding(status=Status.OK, message=f"No statement ended within {seconds:g} s.")
    if measured and _PLACEHOLDER.search(text):
        raise BadAnswer(SYSTEM, f"A statement that is measured has to be run: {_GIVE}.")
    if (
        _PLACEHOLDER.search(text) and ";" in text
    ):  # the protocol for one statement only takes no `$1`
        raise BadAnswer(SYSTEM, "The statement was not explained: it has to be one statement.")
    with connection(target, limit_s=limit_s) as database:
        if _PLACEHOLDER.search(text) and database.info.server_version < GENERIC_PLANS:
            message = (
                f"Before version 16, PostgreSQL explains no statement without its values: {_GIVE}."
            )
            return Finding(status=Status.UNKNOWN if statement else Status.OK, message=message)
        explained = _explained(database, text, measured=measured)
    root, shown = explained["Plan"], outside.one_line(text, _SHOWN, "")
    rows = list(_rows(root, _weight(root, measured=measured), measured=measured))
    most = max(rows, key=lambda row: row["share_percent"])
    words = f"{most['step'].strip()} ({most['share_percent']} %): {shown}"
    if not measured:
        return Finding(
            status=Status.OK,
            message=f"Not run; by its plan, the most expensive step is {words}",
            rows=rows,
        )
    return Finding.measured(
        round(explained["Execution Time"], 1),
        target.threshold("database_statement_ms"),
        f"Run and rolled back; the slowest step is {words}",
        rows=rows,
    )


def _slowest(target: Target, seconds: float) -> str:
    return next((each.text for each in busiest(target, seconds)), "")


def _explained(database: Connection, text: str, *, measured: bool) -> dict[str, Any]:
    """Return the result of EXPLAIN for one statement. Raises BadAnswer, TimedOut."""
    is_generic = bool(_PLACEHOLDER.search(text))
    how = "ANALYZE, BUFFERS" if measured else "GENERIC_PLAN" if is_generic else "COSTS"
    try:
        if measured:
            # Without running it, PostgreSQL refuses a cursor for anything but a query that reads.
            single(database, f"DECLARE opsnb_plan NO SCROLL CURSOR FOR {text}")
        explain = f"EXPLAIN ({how}, VERBOSE, FORMAT JSON) {text}"
        asked = database.execute(explain.encode()) if is_generic else single(database, explain)
        row = asked.fetchone()
        database.rollback()
    except psycopg.errors.QueryCanceled as error:
        raise TimedOut(
            SYSTEM, "The statement did not end in time and was rolled back; raise the limit."
        ) from error
    except psycopg.Error as error:
        if not error.sqlstate or isinstance(error, _NOT_ABOUT_IT):
            raise
        must = "one SELECT that only reads" if measured else "one statement"
        raise BadAnswer(
            SYSTEM, f"The statement was not explained ({reason(error)}): it has to be {must}."
        ) from error
    explained: dict[str, Any] = row["QUERY PLAN"][0] if row else {}
    return explained


def _rows(node: Node, total: float, *, measured: bool, depth: int = 0) -> Iterator[Row]:
    """Yield a row for each step, the outermost first, its inputs below it and indented."""
    own = _weight(node, measured=measured) - sum(
        _weight(each, measured=measured) for each in node.get("Plans", [])
    )
    row: Row = {
        "step": "\u2003" * depth + _label(node),
        "share_percent": round(100 * max(0.0, own) / (total or 1.0)),
        "expected_rows": node["Plan Rows"],
    }
    if measured:
        row["rows"] = node["Actual Rows"]
        row["loops"] = node["Actual Loops"]
    condition = next((node[each] for each in _CONDITIONS if each in node), "")
    yield {**row, "condition": outside.head(condition, _SHOWN)}
    for each in node.get("Plans", []):
        yield from _rows(each, total, measured=measured, depth=depth + 1)


def _weight(node: Node, *, measured: bool) -> float:
    """Return the cost of a step with all its inputs: in ms, or in the planner's own unit."""
    if measured:
        return float(node["Actual Total Time"] * node["Actual Loops"])
    return float(node["Total Cost"])


def _label(node: Node) -> str:
    label = str(node["Node Type"])
    if "Index Name" in node:
        label += f" using {quoted(outside.ended(node['Index Name']))}"
    if "Relation Name" in node:
        label += f" on {quoted(node['Schema'], outside.ended(node['Relation Name']))}"
    return label
