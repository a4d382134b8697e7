"""What runs inside Redis: the `.lua` files beside this one, and in them BullMQ's own scripts.

Each reads, judges and changes in one step, so that nobody comes in between.
"""

from __future__ import annotations

from pathlib import Path

from bullmq.redis_connection import loadScript

_HERE = Path(__file__).parent


def _ours(*names: str) -> str:
    return "\n".join((_HERE / f"{name}.lua").read_text(encoding="utf-8") for name in names)


def _bullmqs(name: str, file: str) -> str:
    """Return a function of that name: a script of BullMQ's, given its keys and its arguments."""
    return f"\nlocal function {name}(KEYS, ARGV)\n{loadScript(file)}\nend\n"


PAGE = _ours("kept", "page")
PAUSE = _ours("layout", "lists", "pause")
RESUME = _ours("layout", "lists", "resume")

_LAYOUT = _ours("layout")
_REMOVE = _LAYOUT + _bullmqs("remove", "removeJob-2.lua")

RETRY = _LAYOUT + _bullmqs("reprocess", "reprocessJob-9.lua") + _ours("finished", "retry")
REMOVE = _REMOVE + _ours("finished", "kept", "remove")
REMOVE_STUCK = _REMOVE + _ours("remove_stuck")
CLEAN = _LAYOUT + _bullmqs("clean", "cleanJobsInSet-3.lua") + _ours("kept", "clean")

DONE, RUNNING = 1, 0
"""What they answer for a job: that it is done, or that it is being worked on."""
