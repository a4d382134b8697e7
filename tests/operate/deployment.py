"""Scenarios of the deployment runbooks, on the demo's own git repository."""

from __future__ import annotations

import shutil
import subprocess

import httpx

from opsnb.config.target import Target
from opsnb.demo import parts, service
from opsnb.demo.home import Home
from opsnb.demo.releases import FIRST, GOOD, Releases
from opsnb.model import RunResult, Status
from opsnb.systems import deploy, queues
from opsnb.systems.api.settings import Api
from tests.operate import Scenario
from tests.operate.queues import found


def version(target: Target) -> str:
    answer = httpx.get(f"{Api.of(target).url}/health", trust_env=False)
    return f"v{answer.json()['version']}"


def bring(target: Target, release: str) -> None:
    """Bring the demo to a release by hand; what is published is the good one."""
    of, running = Releases(Home.current()), parts.current(lambda _: None).service
    of.publish(GOOD)
    fetched = ["git", "fetch", "--quiet", str(of.origin), "main"]
    at = FIRST if release == FIRST else "FETCH_HEAD"
    for command in (fetched, ["git", "reset", "--quiet", "--hard", at]):
        subprocess.run(command, cwd=of.folder, check=True, capture_output=True)
    # A release is built once a stack; its build is put back where another one may lie.
    dist, built = of.folder / "dist", of.home.root / "built" / release
    if not built.exists():
        running.build()
        shutil.copytree(dist, built)
    shutil.copytree(built, dist, dirs_exist_ok=True)
    if version(target) != release:
        running.start([service.API, service.WORKER])


def first_release(target: Target) -> None:
    bring(target, FIRST)


def is_deployed(target: Target, result: RunResult) -> None:
    told = found(result)
    assert told["deploying.release.verify"].status is Status.OK
    assert version(target) == GOOD
    assert queues.pauses(target).status is Status.OK
    first_release(target)


def good_release(target: Target) -> None:
    bring(target, GOOD)


def is_back(target: Target, result: RunResult) -> None:
    assert found(result)["deploying.go_back.verify"].status is Status.OK
    assert version(target) == FIRST
    assert queues.pauses(target).status is Status.OK


def nothing_is_missing(_: Target, result: RunResult) -> None:
    told = found(result)
    missing = {name for name, each in told.items() if each.status is not Status.OK}
    assert missing == {"readiness.backup"}  # the tests make none


def users_are_served(target: Target, result: RunResult) -> None:
    assert found(result)["deploy.paths"].status is Status.OK
    assert deploy.release(target)


ITEMS = ("reviewed", "announced", "tested", "migrations_tested", "watched")
TICKED = {f"{item}_by": "Ann" for item in ITEMS}

SCENARIOS = {
    "deployment/pre_deploy": Scenario(nothing_is_missing, TICKED),
    "deployment/deploy": Scenario(
        is_deployed, {"minutes": "1s", "unchecked_by": "Ann"}, first_release
    ),
    "deployment/verify": Scenario(users_are_served),
    "deployment/rollback": Scenario(is_back, {"minutes": "1s", "release": FIRST}, good_release),
}
