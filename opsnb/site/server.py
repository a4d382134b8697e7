"""Show a built site in the browser of this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import typer

from opsnb.errors import UsageError
from opsnb.site.builder import build
from opsnb.target import Config

HOST = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of single requests."""


def serve(
    config: Config, out: Path, port: int, say: Callable[[str], None], *, app: typer.Typer
) -> None:
    """Build the site into `out`, then serve it on loopback until interrupted.

    Port 0 takes any that is free. Everything else as for `build`.
    """
    with server(out, port) as running:  # first of all, so that a taken port costs no build
        build(config, out, say, app=app)
        say(f"http://{HOST}:{running.server_address[1]}/index.html (Ctrl-C stops it)")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            say("Stopped")


def server(out: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of the folder `out`, bound and not yet running."""
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Quiet, directory=str(out)))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Port {port} of {HOST} cannot be used: {error}. Choose another with --port."
        ) from error
