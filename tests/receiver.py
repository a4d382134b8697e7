"""An HTTP server on loopback that stands for webhooks, pings and services under operation."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What arrives, and how it is answered."""

    port: int = 0
    status: int = 200
    hangs: bool = False
    """Whether it takes requests and never answers."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and body of each that arrived."""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def messages(self, path: str = "/hook") -> list[dict[str, Any]]:
        """The JSON that came to `path`."""
        return [json.loads(body) for at, body in self.requests if at == path]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Yield a server that answers what its Receiver says."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            state.requests.append((self.path, body))
            if state.hangs:
                state.released.wait()
            self.send_response(state.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST  # noqa: N815 - http.server's own names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
