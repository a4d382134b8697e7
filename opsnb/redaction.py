"""Take secrets out of text before anybody sees or keeps it.

Two ways together: values that are known to be secret (passwords in URLs, environment variables
whose names say so), in every encoding in which they turn up, and shapes that are secret wherever
they stand (keys of well-known services, `Authorization` headers, URLs with passwords).
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "[redacted]"

_SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|PWD$|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$|_DSN$",
    re.IGNORECASE,
)
_SHORTEST = 6  # a shorter value would blot out ordinary words

_URL_PASSWORD = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@'\"<>]*):(?P<pw>[^\s@'\"<>]+)@", re.I
)
_NAMED_SECRET = re.compile(
    r"(?P<head>\b[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key"
    r"|PGPASSWORD|REDISCLI_AUTH)\b[\"']?\s*[=:]\s*)(?P<quote>[\"']?)"
    r"(?!\[redacted\]|None\b|null\b|true\b|false\b)[^\s\"',;&<>{}()\[\]]{4,}(?P=quote)",
    re.IGNORECASE,
)
_SHAPES = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{30,}\b",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}\b",
        r"\bglpat-[A-Za-z0-9_-]{20,}\b",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b",
        r"\bsk-[A-Za-z0-9_-]{20,}",
        r"\bAIza[0-9A-Za-z_-]{35}\b",
        r"\bnpm_[A-Za-z0-9]{36}\b",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
        r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}",
        r"(?i)(?<=\bbasic )[A-Za-z0-9+/]{8,}={0,2}",
    )
)
_BINARY_MIMES = ("image/png", "image/jpeg", "application/pdf")


def safe_url(url: str) -> str:
    """Return `url` with its password masked, fit for a message."""
    return _URL_PASSWORD.sub(rf"\g<head>:{MASK}@", url)


def url_secrets(url: str) -> set[str]:
    """Return the secrets in `url`: its password as written and decoded."""
    password = urlsplit(url).password if "@" in url else None
    return {password, unquote(password)} if password else set()


def environment_secrets(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Return the values in `environ` that are secret by their variable's name or by being URLs."""
    found: set[str] = set()
    for name, value in environ.items():
        if _SECRET_NAME.search(name) and not value.startswith(("/", ".")):
            found.add(value)
        if "://" in value and "@" in value:
            found |= url_secrets(value)
    return found


class Redactor:
    """Masks known secrets, in their encoded forms too, and well-known secret shapes."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}
        # The longest first, so that a secret inside another leaves no remainder of it.
        ordered = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        if self._known:
            text = self._known.sub(MASK, text)
        text = safe_url(text)
        for shape in _SHAPES:
            text = shape.sub(MASK, text)
        return _NAMED_SECRET.sub(rf"\g<head>\g<quote>{MASK}\g<quote>", text)

    def tree(self, value: Any) -> Any:
        """Return `value` (JSON: dicts, lists, strings, numbers) with every string masked.

        A secret under a telling key (`{"password": ...}`) is masked whatever it looks like, and
        lists of lines, as notebooks keep text, are masked as one text, so that a secret that
        spans lines is found.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            if len(value) > 1 and all(
                isinstance(item, str) and item.endswith("\n") for item in value[:-1]
            ):
                if isinstance(value[-1], str):
                    return self.text("".join(value)).splitlines(keepends=True)
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._entry(key, item) for key, item in value.items()}
        return value

    def _entry(self, key: str, item: Any) -> Any:
        if key in _BINARY_MIMES:
            return item
        if isinstance(item, str) and item and _SECRET_NAME.search(key):
            return MASK
        return self.tree(item)


def _forms(secret: str) -> Iterator[str]:
    """Yield `secret` as it stands in URLs, JSON, HTML, Python literals and base64."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    if len(secret) >= _SHORTEST:
        # base64 of the secret inside a longer text has three alignments; the middle part of each
        # is independent of its neighbours.
        raw = secret.encode()
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
            yield coded[(0, 2, 3)[shift] :][: -1 if (len(raw) + shift) % 3 else None]
            yield quote(
                coded[(0, 2, 3)[shift] :][: -1 if (len(raw) + shift) % 3 else None], safe=""
            )
        yield raw.hex()
