"""`site`: the site of runbooks and records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opsnb.cli import output
from opsnb.cli.application import app, site_app
from opsnb.cli.context import config_in_force


@site_app.command("build")
def build_site(
    out: Annotated[Path, typer.Option(help="The folder to write the site to.")] = Path("site"),
) -> None:
    """Build the site from runbooks and records."""
    from opsnb.site.builder import build

    output.say(f"The site is at {build(config_in_force(), out, output.note, app=app)}")


@site_app.command("serve")
def serve_site(
    out: Annotated[Path, typer.Option(help="The folder to write the site to.")] = Path("site"),
    port: Annotated[int, typer.Option(help="Port on loopback; 0 picks a free one.")] = 8000,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A host name to serve besides localhost, for a proxy; repeatable."),
    ] = None,
) -> None:
    """Build the site and serve it on loopback."""
    from opsnb.site.server import serve

    serve(config_in_force(), out, port, output.say, app=app, names=name or ())
