"""Faults of the API: it is slow, or it writes errors into its log."""

from __future__ import annotations

import time

import httpx

from opsnb.demo import service
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.parts import Parts

LEAST_LOG_ERRORS = 60
SLOW_S = 1.2

# What the service writes, by which its lines are known.
LOG_ERROR = "upstream model endpoint answered 502"

# Within this time the service has written the lines that it was about to write.
BURST_S = 0.3


def _see_slow_api(stack: Parts) -> None:
    def slow() -> bool:
        try:
            answer = httpx.get(f"{stack.settings.api_url}/health", timeout=10, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.elapsed.total_seconds() >= SLOW_S

    see(slow, "the API is not slow")


def _see_log_errors(stack: Parts) -> None:
    log = stack.service.log
    see(lambda: log.read_text().count(LOG_ERROR) >= LEAST_LOG_ERRORS, "the log has no errors")


def take_out_of_log(stack: Parts, words: str) -> None:
    """Remove the lines with `words` from the service's log, until it writes no more of them."""

    def clean() -> bool:
        with stack.service.log.open("r+", encoding="utf-8") as log:
            lines = log.readlines()
            kept = [line for line in lines if words not in line]
            # Written in place: pm2 holds the file open, in append mode.
            log.seek(0)
            log.writelines(kept)
            log.truncate()
        return len(kept) == len(lines)

    # The service may be in the midst of a second's worth of lines.
    while not clean():
        time.sleep(BURST_S)


FAULTS = (
    Fault(
        name="api-slow",
        description="The API waits 1.5 seconds before each request, until you restart it.",
        symptom="Everything works, but every click takes more than a second.",
        runbook="incidents/performance_degradation",
        cause="degradation.api_itself",
        needs=frozenset({service.API}),
        break_it=_see_slow_api,
    ),
    Fault(
        name="log-errors",
        description="The service writes 80 ERROR lines a second into its log.",
        needs=frozenset({service.API}),
        break_it=_see_log_errors,
        fix_it=lambda stack: take_out_of_log(stack, LOG_ERROR),
    ),
)
