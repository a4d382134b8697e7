"""Secrets in a setting: a connection string, a header, a document."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from opsnb.redaction.names import SECRET_KEY
from opsnb.redaction.needles import SHORTEST
from opsnb.redaction.shapes import shape_spans
from opsnb.redaction.urls import url_secrets
from opsnb.redaction.words import is_credential

_LONGEST = 65_536
"""The most characters of a setting; a longer value is not searched."""
_BASIC = re.compile(r"[A-Za-z0-9+/_-]{8,4096}={0,2}")
_LIST = re.compile(r"[,;]\s*|\n")
_LEAST_OF_LIST = 8
_NOT_SECRET = re.compile(
    r"(?:accept(?:-.*)?|host|user-agent|content-.*|origin|referer|cache-control|connection|via"
    r"|x-forwarded-.*|x-request-.*|forwarded|prefer|te|upgrade.*)",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def value_secrets(value: str) -> frozenset[str]:
    """Return the secrets in a value: in URLs, and by their shape.

    Known secrets are then found in any encoding and place.
    """
    if len(value) > _LONGEST:
        return frozenset()
    secrets = set(url_secrets(value)) if "://" in value else set()
    secrets |= {value[start:end].strip("\"'`{}") for start, end in shape_spans(value)}
    if value.lstrip().startswith(("{", "[")):
        secrets.update(_of_document(value))
    return frozenset(secrets)


@lru_cache(maxsize=4096)
def named_secrets(value: str) -> frozenset[str]:
    """Return the secrets of a value that its name calls secret: the value, and its parts.

    That is the items of a list, the password of `user:password`, and that of one in base64.
    """
    secrets = {value, *value_secrets(value)}
    items = list(filter(None, _LIST.split(value)))
    if len(items) > 1 and value[0] not in "{[-":  # a document or a key
        secrets |= {item for item in items if is_credential(item, shortest=_LEAST_OF_LIST)}
    for text in (value, *_basic(value)):
        user, colon, password = text.partition(":")
        # `sess:production` is not a login.
        is_login = colon and re.fullmatch(r"[\w.@+-]{1,64}", user)
        if is_login and (text != value or is_credential(password, shortest=SHORTEST)):
            secrets.add(password)
    return frozenset(secrets)


def header_secrets(name: str, value: str) -> frozenset[str]:
    """Return the secrets in an HTTP header for a target."""
    if _NOT_SECRET.fullmatch(name):
        return value_secrets(value)
    if name.lower() == "cookie":
        cookies = (cookie.partition("=")[2].strip() for cookie in value.split(";"))
        return frozenset(cookies) | value_secrets(value)
    return named_secrets(value.rpartition(" ")[2]) | value_secrets(value)


def _basic(value: str) -> Iterator[str]:
    """Yield the decoded `value` if it is `user:password` in base64."""
    if _BASIC.fullmatch(value):
        bare = value.rstrip("=").replace("-", "+").replace("_", "/")
        with suppress(binascii.Error, UnicodeDecodeError):
            yield base64.b64decode(bare + "=" * (-len(bare) % 4)).decode()


def _of_document(value: str) -> Iterator[str]:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return iter(())
    return _leaves(document, named=False)


def _leaves(item: Any, *, named: bool) -> Iterator[str]:
    if isinstance(item, dict):
        for key, entry in item.items():
            yield from _leaves(entry, named=bool(SECRET_KEY.search(str(key))))
    elif isinstance(item, list):
        for entry in item:
            yield from _leaves(entry, named=named)
    elif isinstance(item, str):
        yield from named_secrets(item) if named else value_secrets(item)
