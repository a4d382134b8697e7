"""Faults of the cache: it is emptied, or what is written to it expires at once."""

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
    """Empty the cache, and wait until keys expire that were written since."""

    def expired() -> int:
        with stack.valkey.client() as client:
            return int(client.info("stats")["expired_keys"])

    before = expired()
    _empty(stack)
    see(lambda: expired() > before + LEAST_EXPIRED, "no key expires")


def _fill(stack: Parts) -> None:
    url = f"{stack.settings.api_url}/api/cache/warm"
    httpx.post(url, timeout=WARMING_LIMIT_S, trust_env=False).raise_for_status()
    # Rates since the start would tell of the misses for as long as the demo lives.
    with stack.valkey.client() as client:
        client.config_resetstat()


FAULTS = (
    Fault(
        "cold-cache",
        "The cache is emptied, and the service does not fill it by itself.",
        "cache.hit_rate",
        None,
        frozenset({service.API, "valkey"}),
        _empty,
        _fill,
    ),
    Fault(
        "short-ttls",
        "What the service caches of projects expires at once.",
        "cache.hit_rate",
        None,
        frozenset({service.API, "valkey"}),
        _see_expire,
        _fill,
    ),
)
