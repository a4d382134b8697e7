"""`schedule`: runbooks that cron runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from opsnb import interrupts
from opsnb.cli import output
from opsnb.cli.application import EnvironmentFile, Json, schedule_app
from opsnb.cli.context import config_in_force, store_in_force
from opsnb.errors import UsageError


@schedule_app.command("list")
def list_schedules(as_json: Json = False) -> None:
    """List the schedules: when each is due, and how its last run ended."""
    from opsnb.schedule import listing

    entries = listing.entries(config_in_force(), store_in_force())
    if as_json:
        output.json_document([entry.as_json() for entry in entries])
    else:
        output.render(listing.table(entries))


@schedule_app.command("run")
def run_schedule(name: str, environment: EnvironmentFile = None) -> int:
    """Run a schedule now, as cron does; its log tells how it ended."""
    from datetime import datetime

    from opsnb.schedule import running

    config = running.prepare(name, environment)
    with interrupts.noted() as stopped:
        result = running.run(name, config, datetime.now().astimezone(), stopped)
    if sys.stdout.isatty():  # cron would mail it; the log has it
        output.run_result(result, config, as_json=False)
    return result.exit_code


@schedule_app.command("crontab")
def show_crontab(
    install: Annotated[
        bool, typer.Option("--install", help="Put the lines into your crontab.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the lines out of your crontab.")
    ] = False,
    environment: EnvironmentFile = None,
) -> None:
    """Print the schedules' lines for cron, or install or remove them."""
    from opsnb.schedule import crontab

    if install and remove:
        raise UsageError("Say --install or --remove, not both.")
    config = config_in_force()
    if remove:
        gone = crontab.remove(config)
        output.say(
            "The lines are out of your crontab." if gone else "Your crontab had no such lines."
        )
    elif install:
        output.say(crontab.install(config, environment).rstrip())
        output.note("These lines are in your crontab now; the rest of it is as it was.")
    else:
        output.say(crontab.block(config, environment).rstrip())
