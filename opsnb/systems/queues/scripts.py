"""What runs inside Redis: the `.lua` files beside this one, and in them BullMQ's own scripts.

Each reads, judges and changes in one step, so that nobody comes in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis.exceptions
from bullmq.redis_connection import loadScript

_HERE = Path(__file__).parent


def lua(*names: str) -> str:
    """Return the `.lua` files of these names, one after another, as one script."""
    return "\n".join((_HERE / f"{name}.lua").read_text(encoding="utf-8") for name in names)


def _bullmqs(name: str, file: str) -> str:
    """Return a function of that name: a script of BullMQ's, given its keys and its arguments."""
    return f"\nlocal function {name}(KEYS, ARGV)\n{loadScript(file)}\nend\n"


PAGE = lua("kept", "page")
PAUSE = lua("layout", "lists", "pause")
RESUME = lua("layout", "lists", "resume")

_LAYOUT = lua("layout")
_REMOVE = _LAYOUT + _bullmqs("remove", "removeJob-2.lua")

RETRY = _LAYOUT + _bullmqs("reprocess", "reprocessJob-9.lua") + lua("finished", "retry")
REMOVE = _REMOVE + lua("finished", "kept", "remove")
REMOVE_STUCK = _REMOVE + lua("remove_stuck")
CLEAN = _LAYOUT + _bullmqs("clean", "cleanJobsInSet-3.lua") + lua("kept", "clean")


@cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


async def call(client: Any, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Return what `script` answers.

    By EVALSHA and EVAL alone, as BullMQ does: SCRIPT LOAD is another right, and a full server
    refuses it while it still runs what removes jobs.
    """
    try:
        return await client.evalsha(_digest(script), len(keys), *keys, *arguments)
    except redis.exceptions.NoScriptError:
        return await client.eval(script, len(keys), *keys, *arguments)


DONE, RUNNING, GONE = 1, 0, -1
"""What they answer for a job: it is done, it is being worked on, or its data are gone."""
