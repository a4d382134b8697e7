"""Serve a built site on loopback."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import typer

from opsnb.config.file import Config
from opsnb.errors import UsageError
from opsnb.site.builder import build
from opsnb.site.pages.missing import PATH as MISSING

HOST = "127.0.0.1"
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})
_IDLE_S = 30.0
"""A client that sends nothing for this long is disconnected."""


class _Files(SimpleHTTPRequestHandler):
    """Serves the files of one folder, only under the names of this machine.

    Otherwise any web page could point its own name here (DNS rebinding) and read the records in the
    visitor's browser.
    """

    timeout = _IDLE_S
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, names: Collection[str], **kwargs: Any) -> None:
        self._names = names
        super().__init__(*args, **kwargs)

    def send_head(self) -> Any:
        """Send the head of a response; return the file to send, or None."""
        if not self._is_known_host():
            self.send_error(
                HTTPStatus.FORBIDDEN,
                explain="This server does not serve that host name. Add it with: opsnb site serve "
                "--name NAME",
            )
            return None
        if not self._is_served():
            return self._send_missing()
        return super().send_head()

    def _send_missing(self) -> BytesIO:
        """Send the head of the page for addresses that there are not, and return that page."""
        try:
            page = Path(self.directory, MISSING).read_bytes()
        except OSError:  # the first build has not come so far
            page = b"<!doctype html><title>Not found</title><h1>Not found</h1>"
        body = BytesIO(page)
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(body.getbuffer().nbytes))
        self.end_headers()
        return body

    def list_directory(self, path: Any) -> Any:  # noqa: ARG002 - of the base class
        """Refuse to list a folder."""
        return self._send_missing()

    def end_headers(self) -> None:
        """Keep other sites from framing or reading what is served."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.send_header("Referrer-Policy", "same-origin")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def _is_known_host(self) -> bool:
        hosts = self.headers.get_all("Host") or []
        return len(hosts) == 1 and _name(hosts[0]) in self._names

    def _is_served(self) -> bool:
        """Return whether the path is a file in the folder, and no part of it is hidden."""
        root = Path(self.directory).resolve()
        try:
            path = Path(self.translate_path(self.path)).resolve()
            if path.is_dir():
                path = (path / "index.html").resolve()  # which may be a link to elsewhere
            if not path.is_file():  # opening a named pipe would block
                return False
        except (OSError, ValueError, RuntimeError):
            return False
        if not path.is_relative_to(root):
            return False
        return not any(part.startswith(".") for part in path.relative_to(root).parts)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


def _name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    name, colon, port = host.strip().lower().rpartition(":")
    host = name if colon and port.isdigit() else host.strip().lower()
    return host.removesuffix(".")


def serve(  # noqa: PLR0913 - the command's own options
    config: Config,
    out: Path,
    port: int,
    say: Callable[[str], None],
    *,
    app: typer.Typer,
    names: Collection[str] = (),
) -> None:
    """Build the site into `out`, then serve it on loopback until interrupted.

    Port 0 picks a free one. `names` are host names to serve besides those of loopback, for a
    reverse proxy. Everything else as for `build`.
    """
    with server(out, port, names) as running:  # first, so that a port in use costs no build
        build(config, out, say, app=app)
        say(f"http://{HOST}:{running.server_address[1]}/index.html (Ctrl-C stops it)")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            say("Stopped")


def server(out: Path, port: int, names: Collection[str] = ()) -> ThreadingHTTPServer:
    """Return a server of the folder `out`, bound but not yet running."""
    known = _LOCAL | {_name(name) for name in names}
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Files, directory=str(out), names=known))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Port {port} of {HOST} cannot be used: {error}. Choose another with --port."
        ) from error
