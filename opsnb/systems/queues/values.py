"""Fields of jobs, cut inside Redis: a reason, a stack or a name may have any length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import redis.exceptions

from opsnb.checks import evidence
from opsnb.redaction import outside
from opsnb.systems.queues.connection import Queue, Session
from opsnb.systems.queues.scripts import lua

MOST_BYTES = 4096
"""How much of one value is read."""

_PAGE = 100
_READ_WHOLE = 65_536  # bytes of a value that is read as it is where no script may cut it

_CUT = lua("cut")


_NUMBER = re.compile(r"(\d{1,14})(?:\.\d+)?")


def whole(text: str | None) -> int:
    """Return a whole number from a job's hash, such as a time in ms; 0 for anything else."""
    match = _NUMBER.fullmatch(text or "")
    return int(match[1]) if match else 0


class NoScripts(redis.exceptions.ResponseError):
    """The server or the login allows no script."""


async def script(session: Session, lua: str, keys: Sequence[str], *arguments: Any) -> Any:
    """Return the answer of a script that only reads. Raises NoScripts where none may run."""
    for command in session.script_commands:
        try:
            answer = await session.client.execute_command(
                command, lua, len(keys), *keys, *arguments
            )
        except redis.exceptions.ResponseError as error:
            if not _is_refusal(command, error):
                raise
            session.script_commands = session.script_commands[1:]
        else:
            return answer
    raise NoScripts("no script may run")


def _is_refusal(command: str, error: redis.exceptions.ResponseError) -> bool:
    """Whether the server does not know `command` itself, or the login may not run it."""
    text = str(error).lower()
    if isinstance(error, redis.exceptions.NoPermissionError):
        return f"'{command.lower()}' command" in text
    return "unknown command" in text and "script" not in text


async def read_fields(
    queue: Queue,
    jobs: Sequence[str],
    fields: Sequence[str],
    *,
    most: int = MOST_BYTES,
    tail: str = "",
) -> list[list[str | None]]:
    """Return `fields` of each job, no value longer than `most` bytes, free of secrets.

    Of the field `tail` the end stays instead of the beginning. Where no script may cut values, long
    ones are missing, and the evidence says so.
    """
    rows: list[list[str | None]] = []
    for start in range(0, len(jobs), _PAGE):
        page = [queue[job] for job in jobs[start : start + _PAGE]]
        try:
            found = await script(queue.session, _CUT, page, most, tail, *fields)
        except NoScripts:
            found = await _whole(queue.session, page, fields)
        for row in found:
            both = zip(fields, row, strict=True)
            rows.append([_clean(value, most, is_tail=field == tail) for field, value in both])
    return rows


def _clean(value: str | None, most: int, *, is_tail: bool) -> str | None:
    """Return a value to show; a number stays as it is, because no time or count is a secret."""
    if value is None or _NUMBER.fullmatch(value):
        return value
    if len(value.encode(errors="surrogatepass")) < most:
        return outside.text(value)
    cut = value[-most:] if is_tail else value[:most]  # type: ignore[cut]  # cleaned as cut text
    return outside.opened(cut, start=is_tail, end=not is_tail)


async def _whole(
    session: Session, keys: Sequence[str], fields: Sequence[str]
) -> list[list[str | None]]:
    """Return the values that are short enough, uncut."""
    async with session.client.pipeline(transaction=False) as pipe:
        for key in keys:
            for field in fields:
                pipe.hstrlen(key, field)
        sizes = iter(await pipe.execute())
        asked = [[field for field in fields if next(sizes) <= _READ_WHOLE] for _ in keys]
        for key, some in zip(keys, asked, strict=True):
            pipe.hmget(key, some or ["-"])  # HMGET needs a name; no job has this one
        answers = await pipe.execute()
    if any(len(some) < len(fields) for some in asked):
        evidence.partial(
            "values of jobs longer than 64 kB, which this login may not cut on the server; "
            f"let it: ACL SETUSER {session.login} +eval +eval_ro"
        )
    found: list[list[str | None]] = []
    for some, values in zip(asked, answers, strict=True):
        known = dict(zip(some, values, strict=False))
        found.append([known.get(field) for field in fields])
    return found
