"""Which runbooks are due for a review. Handbook, section 9.2.

The review cycle is a month. The metadata of each runbook holds the date of its last review.
"""

from __future__ import annotations

from opsnb.catalog import RunbookInfo, runbooks
from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.errors import ConfigError
from opsnb.model import Finding, Row, Status, now

RECORDED_AS = "handbook"


@check(treated_by="people review pages")
def due(target: Target, days: float | None = None) -> Finding:
    """Pages that are due for review

    Not reviewed for more than `days` days, by default the target's limit; the oldest first.
    """
    days = target.limit("review_age_days", days)
    pages = runbooks()
    rows = [row for row in map(_row, pages) if row["days_ago"] is None or row["days_ago"] > days]
    rows.sort(key=lambda row: (row["days_ago"] is not None, -(row["days_ago"] or 0)))
    if not rows:
        message = f"All {len(pages)} runbooks were reviewed in the last {days:g} days."
        return Finding(status=Status.OK, message=message, value=0, unit="pages")
    first = rows[0]["runbook"]
    return Finding(
        status=Status.WARN,
        message=f"{len(rows)} of {len(pages)} runbooks were not reviewed in the last {days:g} "
        f"days, {first} first. Read each through, correct it, and set opsnb.reviewed in its "
        f'notebook\'s metadata to the day: "reviewed": "{now():%F}".',
        value=len(rows),
        unit="pages",
        rows=rows,
    )


def _row(page: RunbookInfo) -> Row:
    try:
        reviewed = page.reviewed
    except ConfigError:
        reviewed = None  # the review will show that it is broken
    return {
        "runbook": page.id,
        "title": page.name,
        "reviewed": f"{reviewed}" if reviewed else "never",
        "days_ago": (now().date() - reviewed).days if reviewed else None,
    }
