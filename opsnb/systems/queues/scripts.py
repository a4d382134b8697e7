r"""The scripts that run inside Redis: the `.lua` files of this folder, and BullMQ's own in them.

Each reads, judges and changes in one step, so that nothing changes in between. To run one by hand,
put its files together in the order below, such as::

    redis-cli --eval <(cat kept.lua page.lua) bull:mail:failed bull:mail:repeat , \
        bull:mail: 0 +inf 0 9 '' ''

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
    """Return a script of BullMQ as a Lua function that takes its keys and arguments."""
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
    """Return the answer of `script`.

    It uses EVALSHA and EVAL alone, like BullMQ: SCRIPT LOAD needs another right, and a full server
    refuses it while it still runs scripts that remove jobs.
    """
    try:
        return await client.evalsha(_digest(script), len(keys), *keys, *arguments)
    except redis.exceptions.NoScriptError:
        return await client.eval(script, len(keys), *keys, *arguments)


DONE, RUNNING, GONE = 1, 0, -1
"""The answers for a job: done, a worker is running it, or its data are gone."""
