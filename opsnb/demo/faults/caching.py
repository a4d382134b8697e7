"""Faults of the cache: it is empty, or its keys expire at once."""

from __future__ import annotations

import httpx

from opsnb.demo import service
from opsnb.demo.faults.fault import Fault, see
from opsnb.demo.parts import Parts

_FAMILIES = ("project:*", "gemini:*")
_AT_ONCE = 1000
WARMING_LIMIT_S = 30.0
LEAST_EXPIRED = 400


def _empty(stack: Parts) -> None:
    with stack.valkey.client() as client:
        for family in _FAMILIES:
            for key in client.scan_iter(match=family, count=_AT_ONCE):
                client.unlink(key)


def _see_expire(stack: Parts) -> None:
    """Empty the cache, and wait until newly written keys expire."""

    def expired() -> int:
        with stack.valkey.client() as client:
            return int(client.info("stats")["expired_keys"])

    before = expired()
    _empty(stack)
    see(lambda: expired() > before + LEAST_EXPIRED, "no key expires")


def _fill(stack: Parts) -> None:
    url = f"{stack.settings.api_url}/api/cache/warm"
    httpx.post(url, timeout=WARMING_LIMIT_S, trust_env=False).raise_for_status()
    # Rates since the start would show the misses until the demo ends.
    with stack.valkey.client() as client:
        client.config_resetstat()


FAULTS = (
    Fault(
        name="cold-cache",
        description="Someone emptied the cache, and the service does not refill it by itself.",
        symptom="PostgreSQL has far more work than usual, but no more users.",
        runbook="troubleshooting/high_cache_miss_rate",
        cause="misses.cold",
        needs=frozenset({service.API, "valkey"}),
        break_it=_empty,
        fix_it=_fill,
    ),
    Fault(
        name="short-ttls",
        description="The service's cached projects expire at once.",
        symptom="Since this morning, almost every read misses the cache.",
        runbook="troubleshooting/high_cache_miss_rate",
        cause="misses.expiring",
        needs=frozenset({service.API, "valkey"}),
        break_it=_see_expire,
        fix_it=_fill,
    ),
)
