"""Every command, in the order in which the help lists them."""

# isort: off
from opsnb.cli import runbooks, run, lab, doctor, records, upkeep  # noqa: F401
from opsnb.cli import schedule, notify, site, demo, authoring  # noqa: F401

# isort: on
from opsnb.cli.application import app

__all__ = ["app"]
