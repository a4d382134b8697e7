"""The shop's logs: pino's JSON and nginx's `combined`, rotated and packed."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from tests.stranger.system import Shop

ERRORS = 4
"""Error lines of the last hour in each of the three files, where a combination has errors."""


def write(shop: Shop) -> None:
    """Write a live log and two that were rotated within the last hour."""
    folder = shop.log.parent
    folder.mkdir()
    errors = ERRORS if shop.of.errors else 0
    now = time.time()
    shop.log.write_text("".join(_lines(now - 600, errors)))
    _pack(folder / "shop.log.1", "".join(_lines(now - 1500, errors)))
    older = folder / "shop.log.2.zst"
    older.write_bytes(zstandard.compress("".join(_lines(now - 2700, errors)).encode()))
    age(older, 1800)
    shop.access_log.write_text("".join(_requests(now - 600)))
    _pack(folder / "access.log.1", "".join(_requests(now - 1500)))


def age(path: Path, seconds: float) -> None:
    """Let a file have been written so long ago."""
    os.utime(path, (time.time() - seconds,) * 2)


def _pack(path: Path, text: str) -> None:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(text.encode()))
    age(packed, 900)


def _lines(begin: float, errors: int) -> list[str]:
    lines = []
    for n in range(40):
        line: dict[str, object] = {"level": 30, "time": int((begin + n) * 1000), "pid": 7}
        line |= {"hostname": "shop", "msg": "request completed, 0 errors"}
        if n < errors:
            line |= {"level": 50, "msg": "request failed"}
            line["err"] = {"type": "Error", "message": "upstream timed out"}
        lines.append(json.dumps(line) + "\n")
    return lines


def _requests(begin: float) -> list[str]:
    stamps = [time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(begin + n)) for n in range(60)]
    return [
        f'10.0.0.{n} - - [{stamp}] "GET /v1/orders HTTP/1.1" 200 61 "-" "Mozilla/5.0"\n'
        for n, stamp in enumerate(stamps)
    ]
