"""The schedules of opsnb.toml as jobs: what each runs, on which targets, with which parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opsnb import catalog
from opsnb.catalog import RunbookInfo
from opsnb.config.file import Config
from opsnb.config.unattended import Schedule
from opsnb.errors import ConfigError, OpsnbError, ParameterError, did_you_mean
from opsnb.notify import dispatch

_OWN_KEYS = ("target", "apply", "confirm")


@dataclass(frozen=True)
class Job:
    """A schedule whose runbook, targets and parameters are valid."""

    schedule: Schedule
    runbook: RunbookInfo
    targets: list[str]
    parameters: dict[str, Any]
    """For the first target."""


def find(config: Config, name: str) -> Schedule:
    """Return the schedule `name`. Raises ConfigError with a suggestion."""
    known = {schedule.name: schedule for schedule in config.schedules}
    if name not in known:
        raise ConfigError(
            f"There is no schedule '{name}' in {config.path or 'opsnb.toml'}."
            + (did_you_mean(name, known) or " Add a [[schedules]] table there.")
        )
    return known[name]


def job(schedule: Schedule, config: Config) -> Job:
    """Check everything that `schedule` names. Raises UsageError."""
    where = f"Schedule {schedule.name}: "
    dispatch.check_runbooks(config)
    try:
        runbook = catalog.runbook(schedule.runbook)
        targets = config.matching(schedule.targets)
        for key in _OWN_KEYS:
            if key in schedule.parameters:
                raise ParameterError(f"write {key} next to parameters, not in it.")
        if schedule.apply and not runbook.acts:
            raise ParameterError(f"{runbook.id} changes nothing; leave out apply.")
        own: dict[str, Any] = {"target": targets[0]}
        if schedule.apply:
            own |= {"apply": True}
        if targets[0] in schedule.confirm:
            own |= {"confirm": targets[0]}
        return Job(schedule, runbook, targets, runbook.validate({**schedule.parameters, **own}))
    except OpsnbError as error:
        raise type(error)(f"{where}{error}") from error
    except IndexError:
        raise ConfigError(f'{where}it has no targets. Write targets = ["NAME"].') from None
