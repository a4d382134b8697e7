"""What runs leave: the store of executed notebooks and their results, read and written."""

from opsnb.records.extract import actions, findings, rebuild, stamp
from opsnb.records.store import Store, new_run_id

__all__ = ["Store", "actions", "findings", "new_run_id", "rebuild", "stamp"]
