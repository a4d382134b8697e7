"""A fault of the code: someone deployed a release that breaks the list of projects."""

from __future__ import annotations

from opsnb.demo import releases, service
from opsnb.demo.faults.answers import take_out_of_log
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.parts import Parts
from opsnb.demo.releases import Releases
from opsnb.errors import DemoError

LOG_ERROR = "GET /api/projects failed"
LEAST_ERRORS = 12


def _demand(stack: Parts) -> None:
    if not Releases(stack.home).has_history:
        raise DemoError("This fault needs git. Install it, then run: opsnb demo up")


def _deploy(stack: Parts, release: str) -> None:
    """Publish a release, and deploy it by hand, as a person would."""
    of = Releases(stack.home)
    of.publish(release)
    of.fetch()
    stack.service.build()
    stack.service.start([service.API])


def _break(stack: Parts) -> None:
    _deploy(stack, releases.BAD)
    log = stack.service.log
    see(lambda: log.read_text().count(LOG_ERROR) >= LEAST_ERRORS, "the projects are listed")


def _mend(stack: Parts) -> None:
    _deploy(stack, releases.GOOD)
    take_out_of_log(stack, LOG_ERROR)


FAULTS = (
    Fault(
        name="bad-release",
        description="Someone deployed a release by hand that cannot list projects.",
        symptom="Some users get errors instead of their projects.",
        runbook="incidents/high_error_rate",
        cause="errors.started",
        needs=frozenset({service.API, "postgres"}),
        demand=_demand,
        break_it=_break,
        fix_it=_mend,
    ),
)
