"""Tell people what scheduled runs find: once when it changes, once when it is ok again.

A run is turned into observations (`observations`). Each channel's memory says what of that is new
to it (`memory`). One message a run and channel says so (`message`), waits in a spool (`spool`) and
is delivered within a bounded time (`delivery`). Nothing here ever fails a run.
"""

from opsnb.notify.dispatch import (
    after_refusal,
    after_run,
    check_addresses,
    check_runbooks,
    deliver_waiting,
    test,
    waiting,
)

__all__ = [
    "after_refusal",
    "after_run",
    "check_addresses",
    "check_runbooks",
    "deliver_waiting",
    "test",
    "waiting",
]
