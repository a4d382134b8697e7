"""What runs leave: the store of executed notebooks and their results, read and written."""

from opsnb.records.extract import actions, executed, findings, rebuild, stamp, tables
from opsnb.records.spool import reap
from opsnb.records.staging import Stage, complete, going_on, is_going_on
from opsnb.records.store import Store, new_run_id

__all__ = [
    "Stage",
    "Store",
    "actions",
    "complete",
    "executed",
    "findings",
    "going_on",
    "is_going_on",
    "new_run_id",
    "reap",
    "rebuild",
    "stamp",
    "tables",
]
