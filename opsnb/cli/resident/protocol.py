"""What a run and its client say to each other.

The run begins only after it has read the whole request, which the client sends only when a process
has been forked for it. So whatever fails earlier, nothing has been started, and nothing runs twice.

1. run to client: its pid
2. client to run: the length of the request, with stdin, stdout, stderr and the working folder as
   file descriptors; then the request
3. run to client: `E` and its exit code; or resident to client: `S` and the signal that killed it
"""

from __future__ import annotations

import marshal
import os
import socket
import struct
from typing import NamedTuple

HANDSHAKE_S = 3.0
"""How long the client waits for a process: less than a run in its own process takes to start."""

NUMBER = struct.Struct("!I")
ENDING = struct.Struct("!cB")
EXITED, KILLED = b"E", b"S"
_HANDLES = 4


class Request(NamedTuple):
    """What a run gets from the process that asks for it."""

    arguments: list[str]
    environment: dict[str, str]
    ignored: list[int]
    """The signals that it ignores, as under nohup."""


def send(connection: socket.socket, request: Request) -> None:
    """Send `request`, the standard streams and the working folder. Raises OSError, ValueError."""
    # Of the same interpreter, and takes no import; the peer is the same user.
    content = marshal.dumps(tuple(request))
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        socket.send_fds(connection, [NUMBER.pack(len(content))], [0, 1, 2, folder])
    finally:
        os.close(folder)
    connection.sendall(content)


def receive(connection: socket.socket) -> tuple[Request, list[int]] | None:
    """Return the request and the file descriptors; None when the client is gone."""
    head, handles, *_ = socket.recv_fds(connection, NUMBER.size, _HANDLES)
    if len(head) < NUMBER.size or len(handles) < _HANDLES:
        return None
    (length,) = NUMBER.unpack(head)
    content = read(connection, length)
    return (Request(*marshal.loads(content)), handles) if len(content) == length else None


def read(connection: socket.socket, length: int) -> bytes:
    """Return `length` bytes; fewer when the other end is gone."""
    content = bytearray()
    while len(content) < length:
        piece = connection.recv(length - len(content))
        if not piece:
            break
        content += piece
    return bytes(content)
