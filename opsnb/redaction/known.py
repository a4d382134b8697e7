"""Known secrets, in every encoding."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from urllib.parse import quote, quote_plus

from opsnb.redaction.dumps import dumped
from opsnb.redaction.needles import SHORTEST, Needles
from opsnb.redaction.readings import plain, readings
from opsnb.redaction.spans import Span
from opsnb.redaction.spelled import spelled
from opsnb.redaction.words import is_credential

_DEPTH = 2  # as a password in Basic credentials, in a registry's file, in a Kubernetes Secret


class Known:
    """The known secrets.

    Each is looked for as it stands, in base64, and as the text reads when its escapes are decoded;
    in hex where the text has hex. The time grows with the text, not with the number of secrets.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets; those shorter than six characters would mask ordinary words."""
        self._secrets = {secret for secret in map(str.strip, secrets) if len(secret) >= SHORTEST}
        parts = {part for secret in self._secrets for part in (secret, *_long_lines(secret))}
        self._texts = Needles(form for part in parts for form in _texts(part))
        self._hex = Needles(raw.hex() for part in parts for raw in _raw(part))
        self._folded = any(" " in secret for secret in self._secrets)

    def spans(self, text: str, depth: int = _DEPTH) -> list[Span]:
        """Return their spans in `text`, in any order.

        What is base64 is searched as it decodes, `depth` times: for base64, URLs and JSON in it.
        """
        if not self._secrets or len(text) < SHORTEST:
            return []
        spans = list(self._texts.spans(text))
        for reading in readings(text, folded=self._folded):
            spans += [reading.span(*span) for span in self._texts.spans(reading.text)]
        for digits in spelled(text):
            spans += [digits.span(*span) for span in self._hex.spans(digits.text)]
        for dump in dumped(text):
            for found in self._hex.spans(dump.digits):
                spans += dump.spans(*found)
        if depth:
            spans += [span for span, decoded in _decoded(text) if self.spans(decoded, depth - 1)]
        return spans

    def is_number(self, number: float) -> bool:
        """Whether a number is one of them."""
        return repr(number).removesuffix(".0") in self._secrets


def _long_lines(secret: str) -> Iterator[str]:
    """Yield the lines of a secret that are secrets themselves, as in a private key."""
    if "\n" in secret:
        for line in map(str.strip, secret.splitlines()):
            if len(line) >= _LONG and not line.startswith("-----"):
                yield line


_LONG = 24  # characters; a shorter line may be an ordinary word


def _texts(secret: str) -> set[str]:
    """Return `secret` in the forms in which texts contain it."""
    written = {secret}
    if not (secret.isascii() and secret.isalnum()):
        written |= {encode(secret) for encode in _ENCODINGS}
    if any(len(reading) < SHORTEST for reading in plain(secret)):
        # A secret made of escapes is searched for as it is written.
        written |= {encode(form) for form in written for encode in _ENCODINGS}
    if _HOST.fullmatch(secret) and is_credential(secret):
        written.add(secret.lower())  # in the host of a URL, as it is answered or logged
    read = {reading for form in written for reading in plain(form)}
    if _LARGE_NUMBER.fullmatch(secret):
        read |= {f"{int(secret):,}".replace(",", mark) for mark in ",._ '"}
    coded = {form for raw in _raw(secret) for form in _base64(raw)}
    return read | coded | set(_base32(secret.encode(errors="surrogateescape")))


def _raw(secret: str) -> tuple[bytes, bytes]:
    """Return the bytes of `secret` in UTF-8 and, as in PowerShell, UTF-16."""
    return (
        secret.encode(errors="surrogateescape"),
        secret.encode("utf-16-le", errors="surrogatepass"),
    )


_LARGE_NUMBER = re.compile(r"[1-9][0-9]{6,30}")  # shorter ones are parts of addresses
_HOST = re.compile(r"[A-Za-z0-9-]{8,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}")


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _lower(text: str) -> str:
    return re.sub(r"%..", lambda code: code[0].lower(), text)


_ENCODINGS: tuple[Callable[[str], str], ...] = (
    _json,
    lambda text: _json(_json(text)),
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    html.escape,
    lambda text: html.escape(html.escape(text)),
    lambda text: html.escape(_json(text)),
    lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    lambda text: quote(text, safe="", errors="surrogateescape"),
    lambda text: _lower(quote(text, safe="", errors="surrogateescape")),
    lambda text: quote(text, errors="surrogateescape"),
    lambda text: quote_plus(text, errors="surrogateescape"),
    lambda text: repr(text)[1:-1],
    lambda text: ascii(text)[1:-1],
    lambda text: repr(text.encode(errors="surrogateescape"))[2:-1],
    lambda text: text.replace("'", "''"),
    lambda text: text.replace('"', '""'),
)


def _base64(raw: bytes) -> Iterator[str]:
    """Yield the base64 of `raw` inside of a longer text, as far as it depends on `raw` alone."""
    for shift in range(3):
        # Three alignments; the first and last characters depend on the neighbours.
        coded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = coded[(0, 2, 3)[shift] : -1 if (len(raw) + shift) % 3 else None]
        yield inner
        yield inner.replace("+", " ")  # as in every reading
        yield inner.replace("+", "-").replace("/", "_")


def _base32(raw: bytes) -> Iterator[str]:
    """Yield the base32 of `raw` inside of a longer text, as far as it depends on `raw` alone."""
    for shift in range(5):
        coded = base64.b32encode(b"\0" * shift + raw).decode()
        inner = coded[-(-8 * shift // 5) : 8 * (shift + len(raw)) // 5]
        yield from (inner, inner.lower())


# A secret of six characters has at least twelve in base64 of base64.
_CODED = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{12,}={0,2}")

_UUENCODED = re.compile(
    r"^begin [0-7]{3,4} [^\n]{1,255}\n(?P<lines>(?:[ -`]{1,61}\n)+)", re.MULTILINE
)


def _decoded(text: str) -> Iterator[tuple[Span, str]]:
    """Yield the spans of base64 and of uuencoded files in `text`, with the decoded text."""
    for coded in _UUENCODED.finditer(text) if "begin " in text else ():
        with suppress(binascii.Error):
            lines = map(binascii.a2b_uu, coded["lines"].splitlines())
            yield coded.span("lines"), b"".join(lines).decode(errors="replace")
    for coded in _CODED.finditer(text):
        bare = coded[0].rstrip("=").replace("-", "+").replace("_", "/")
        with suppress(binascii.Error, UnicodeDecodeError):
            decoded = base64.b64decode(bare[: len(bare) - (len(bare) % 4 == 1)] + "==").decode()
            if len(decoded) >= SHORTEST:
                yield coded.span(), decoded
