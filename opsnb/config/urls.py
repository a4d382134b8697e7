"""URLs as settings: which schemes they may have, and where their password ends.

pydantic's own URL types are no use here: they rewrite what was written (`http://h` becomes
`http://h/`), take one host where libpq and Sentinel take several, and quote what they refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from opsnb.config.settings import Secret

_LONGEST = 4096


def url_of(*schemes: str) -> Callable[[str], str]:
    """Return a validator of URLs of these schemes; empty means that there is none."""

    def check(url: str) -> str:
        if url:
            checked(url, schemes)
        return url

    return check


def checked(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Return the parts of `url`. Raises ValueError, the end of a sentence that quotes nothing."""
    check_length(url)
    parts = split(url)
    if parts is None:
        raise ValueError(
            "is not a URL; write the special characters of its password percent-encoded, its port "
            "as a number, and its host as DNS knows it"
        )
    if parts.scheme not in schemes:
        raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return parts


def check_length(url: str) -> None:
    """Raise ValueError when `url` is too long to be one."""
    if len(url) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST:,} characters; correct it")


def split(url: str) -> SplitResult | None:
    """Return the parts of `url`, or None when it is not one, or where its password ends is open.

    It may name several hosts with commas between them, as libpq and Sentinel take them.
    """
    try:
        parts = urlsplit(url)
        for host in parts.netloc.rpartition("@")[2].split(","):
            one = urlsplit(f"//{host}")
            _ = one.port
            (one.hostname or "").encode("idna")
    except ValueError:
        return None
    astray = parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment
    return None if astray else parts


HttpUrl = Annotated[str, AfterValidator(url_of("http", "https")), Secret.URL]
"""A URL of HTTP, or empty."""
