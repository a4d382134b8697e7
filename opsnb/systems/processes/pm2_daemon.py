"""pm2's daemon, asked over its own socket: a few ms, where `pm2 jlist` starts Node for the same.

Its requests are those of pm2-axon-rpc (https://github.com/unitech/pm2-axon-rpc): a JSON object and
the id of the request. Both are framed as in amp (https://github.com/tj/node-amp): a byte with the
version and the number of parts, and before each part its length in four bytes.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import Any

_SOCKET = "rpc.sock"
_REQUEST = {"type": "call", "method": "getMonitorData", "args": [{}]}
_ID = b"s:opsnb:0"
_VERSION = 1
_PARTS = 2
_MOST_BYTES = 2**26
_JSON = b"j:"


def processes(home: Path, limit_s: float) -> list[dict[str, Any]] | None:
    """Return what `pm2 jlist` would print of the daemon whose home is `home`.

    None when it is not this user's, does not answer within `limit_s` seconds, or answers something
    else; then only `pm2` itself can say why.
    """
    try:
        if not _is_own_socket(home / _SOCKET):
            return None
        with socket.socket(socket.AF_UNIX) as line:
            answer = _asked(line, home / _SOCKET, time.monotonic() + limit_s)
        (entries,) = answer["args"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    is_list = isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("pm2_env"), dict) for entry in entries
    )
    return entries if is_list else None


def _is_own_socket(path: Path) -> bool:
    found = path.stat()
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid()


def _asked(line: socket.socket, path: Path, ends: float) -> Any:
    """Return the daemon's answer. Raises OSError, ValueError (not an answer to the request)."""
    line.settimeout(_left(ends))
    line.connect(str(path))
    line.sendall(_frame(_JSON + json.dumps(_REQUEST).encode(), _ID))
    (head,) = _received(line, 1, ends)
    if head != _VERSION << 4 | _PARTS:
        raise ValueError(f"not an answer of {_PARTS} parts: {head:#x}")
    body, answered = (
        _received(line, struct.unpack(">I", _received(line, 4, ends))[0], ends)
        for _ in range(_PARTS)
    )
    if answered != _ID or not body.startswith(_JSON):
        raise ValueError("not an answer to the request")
    return json.loads(body.removeprefix(_JSON).decode(errors="replace"))


def _frame(*parts: bytes) -> bytes:
    head = bytes([_VERSION << 4 | len(parts)])
    return head + b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _received(line: socket.socket, size: int, ends: float) -> bytes:
    """Return the next `size` bytes. Raises OSError when they do not come in time."""
    if size > _MOST_BYTES:
        raise ValueError(f"an answer of {size:,} bytes")
    received = bytearray()
    while len(received) < size:
        line.settimeout(_left(ends))
        piece = line.recv(min(size - len(received), 2**16))
        if not piece:
            raise ConnectionError("The daemon closed the connection.")
        received += piece
    return bytes(received)


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
