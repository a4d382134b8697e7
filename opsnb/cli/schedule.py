"""`schedule`: runbooks that run on a schedule."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from opsnb.cli import output
from opsnb.cli.application import EnvironmentFile, Json, TargetOption, schedule_app
from opsnb.cli.context import config_in_force, store_in_force
from opsnb.errors import UsageError
from opsnb.machine import interrupts

if TYPE_CHECKING:
    from opsnb.config.file import Config
    from opsnb.timetable.standing import Standing

ScheduleNames = Annotated[list[str] | None, typer.Argument(help="Schedules; all by default.")]


@schedule_app.command("list")
def list_schedules(as_json: Json = False) -> None:
    """List the schedules: when each runs, and how its last run ended."""
    from opsnb.schedule import jobs, listing

    config = config_in_force()
    for schedule in config.schedules:
        jobs.job(schedule, config)  # refuses a schedule that cannot be run
    found = _standings()
    if as_json:
        output.json_document([standing.as_json() for standing in found])
    else:
        output.render(listing.table(found))


@schedule_app.command("status")
def schedule_status(
    name: ScheduleNames = None, target: TargetOption = None, as_json: Json = False
) -> int:
    """Show the last and the next run of each schedule; exit 2 if one is late."""
    from opsnb.schedule import listing

    found = _chosen(name, target)
    if as_json:
        output.json_document([standing.as_json() for standing in found])
    else:
        output.render(listing.status(found))
    return listing.exit_code(found) if found else 0


@schedule_app.command("check")
def check_schedules(name: ScheduleNames = None, target: TargetOption = None) -> int:
    """Check for late schedules as a monitoring plugin: exit 0 none, 2 late, 3 unknown."""
    from opsnb.schedule import listing

    found = _chosen(name, target)
    output.say(listing.plugin_line(found))
    return listing.exit_code(found)


def _standings() -> list[Standing]:
    from opsnb.timetable.standing import standings
    from opsnb.timetable.times import local_now

    return standings(config_in_force(), store_in_force(), local_now())


def _chosen(names: list[str] | None, target: str | None) -> list[Standing]:
    """Return the schedules `names` (default: all) that check `target` (default: any)."""
    from opsnb.schedule.jobs import find

    config = config_in_force()
    wanted = {find(config, name).name for name in names or ()}
    if target:
        config.matching([target])  # refuses an unknown target
    return [
        standing
        for standing in _standings()
        if (not wanted or standing.schedule.name in wanted)
        and (not target or target in standing.targets)
    ]


@schedule_app.command("run")
def run_schedule(name: str, environment: EnvironmentFile = None) -> int:
    """Run a schedule now, as cron does; the result is in its log."""
    from opsnb.schedule import running
    from opsnb.timetable.times import local_now

    try:
        config = running.prepare(name, environment)
        with interrupts.noted() as stopped:
            ended = running.run(name, config, local_now(), stopped)
    except BaseException as error:
        for line in running.failures_beside(error):
            output.note(line)
        raise
    if sys.stdout.isatty():
        output.run_result(ended.result, config, as_json=False)
    # Cron mails what is on stderr.
    for line in [*([] if sys.stdout.isatty() else ended.mail), *ended.failures]:
        output.note(line)
    return ended.result.exit_code


Install = Annotated[bool, typer.Option("--install", help="Install for your user.")]
Remove = Annotated[bool, typer.Option("--remove", help="Uninstall.")]


@schedule_app.command("crontab")
def show_crontab(
    install: Install = False, remove: Remove = False, environment: EnvironmentFile = None
) -> None:
    """Print the schedules as crontab lines, or install or remove them."""
    from opsnb.schedule import crontab

    config = _config_of_starter(install, remove)
    if remove:
        gone = crontab.remove(config)
        output.say(
            "Removed the lines from your crontab." if gone else "Your crontab has no such lines."
        )
    elif install:
        output.say(crontab.install(config, environment).rstrip())
        output.note("Installed these lines in your crontab; the other lines are unchanged.")
    else:
        output.say(crontab.block(config, environment).rstrip())


@schedule_app.command("systemd")
def show_systemd(
    install: Install = False, remove: Remove = False, environment: EnvironmentFile = None
) -> None:
    """Print the schedules as systemd services and timers, or install or remove them."""
    from opsnb.schedule import systemd

    config = _config_of_starter(install, remove)
    if remove:
        gone = systemd.remove(config)
        output.say("Removed the timers." if gone else "There are no such timers.")
    elif install:
        for path in systemd.install(config, environment):
            output.say(str(path))
        output.note("Started these timers. List them with: systemctl list-timers")
    else:
        for unit in systemd.units(config, environment):
            output.say(f"# --- {unit.name}\n{unit.text}")


def _config_of_starter(install: bool, remove: bool) -> Config:
    if install and remove:
        raise UsageError("Use --install or --remove, not both.")
    return config_in_force()
