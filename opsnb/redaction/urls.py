"""Secrets in URLs: passwords before the host and in the query."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from opsnb.redaction.mask import MASK
from opsnb.redaction.names import SECRET_KEY, SECRET_NAME

URL_PASSWORD = re.compile(
    # The password ends at the last @ before the host, even if it is not encoded (it contains / ?
    # #), unless that is a port.
    r"(?<=[a-z0-9])(?P<head>://[^\s:/@'\"<>]{0,256}):"
    r"(?:[^\s'\"<>/?#]{1,512}@"
    r"|(?!\d{1,5}[/?#])(?:(?!://)[^\s'\"<>]){1,512}@)",
    re.IGNORECASE,
)
QUERY_SECRET = re.compile(
    rf"(?P<head>[?&;][\w.-]{{0,64}}?{SECRET_NAME}=)(?P<value>[^\s&'\"<>]+)", re.IGNORECASE
)


def safe_url(url: str) -> str:
    """Return `url`, or a text with URLs, with passwords masked, for messages."""
    return mask_query(mask_password(url))


def mask_password(url: str) -> str:
    """Return `url`, or a text with URLs, without passwords before a host."""
    return URL_PASSWORD.sub(rf"\g<head>:{MASK}@", url)


def mask_query(url: str) -> str:
    """Return `url`, or a text with URLs, without secrets in a query."""
    return QUERY_SECRET.sub(rf"\g<head>{MASK}", url)


def url_secrets(url: str) -> set[str]:
    """Return the secrets in `url`: passwords before its host or in its query, raw and decoded.

    A password that is not encoded is found too, up to the last @.
    """
    secrets = {match["value"] for match in QUERY_SECRET.finditer(url)}
    for match in URL_PASSWORD.finditer(url):
        secrets.add(match[0][len(match["head"]) + 1 : -1])
    if url.count("://") == 1:
        secrets.add(url.partition("://")[2].rpartition("@")[0].partition(":")[2])
    secrets.discard("")
    try:
        parts = urlsplit(url)
    except ValueError:
        return secrets | set(map(unquote, secrets))
    if parts.password:
        secrets.add(parts.password)
    secrets |= {value for name, value in parse_qsl(parts.query) if SECRET_KEY.search(name)}
    return secrets | set(map(unquote, secrets))
