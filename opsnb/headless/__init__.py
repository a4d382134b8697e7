"""One run of a runbook with nobody watching: papermill executes it, the record is kept."""

from opsnb.headless.run import Order, run

__all__ = ["Order", "run"]
