"""Take secrets out of text before anybody sees or keeps it.

Two ways together: values that are known to be secret (passwords in URLs, environment variables
whose names say so), in every encoding in which they turn up, and shapes that are secret wherever
they stand (keys of well-known services, `Authorization` headers, URLs with passwords). Nothing
is masked for merely looking random: hashes, ids and numbers are what people read records for.

Every pattern here takes time linear in the text: each begins with something rare, and nothing
unbounded is repeated inside a repetition.
"""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from html.entities import codepoint2name
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

MASK = "[redacted]"

_SECRET_VARIABLE = re.compile(
    r"PASSW|PASSPHRASE|PASS$|PWD$|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$"
    r"|_AUTH$|_DSN$",
    re.IGNORECASE,
)
# Variables about a secret (where it is, how long it lives) rather than the secret itself.
_ABOUT_A_SECRET = re.compile(
    r"^(OLD)?PWD$|_(FILE|PATH|DIR|SOCK|TTL|TYPE|HOST|PORT|USER|NAME)$", re.IGNORECASE
)
_SECRET_NAME = (
    r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|secret[_-]?key|authorization|PGPASSWORD|REDISCLI_AUTH)s?"
)
_SECRET_KEY = re.compile(rf"{_SECRET_NAME}$", re.IGNORECASE)
_SHORTEST = 6  # a shorter value would blot out ordinary words

# The words of which notebooks and results are built. A secret that is (in) one of them cannot be
# masked: every record would be unreadable, and the holes would tell what was there.
_WORDS_OF_RECORDS = f"""{MASK}
application text/plain text/html image/png language python markdown metadata outputs source
stdout stderr stream display_data execute_result output_type cell_type execution_count nbformat
nbformat_minor kernelspec display_name parameters runbook runbook_sha256 run_id target operator
trigger manual interactive incident scheduled parent status unknown skipped exit_code findings
actions started finished seconds opsnb_version commit threshold metric lower_is_worse inclusive
message caused_by
"""

_ANSI = r"(?:\x1b\[[\d;]{0,16}m)*"  # IPython colours the tokens of a traceback
_GAP = rf"\s{{0,8}}{_ANSI}\s{{0,8}}{_ANSI}"
_URL_PASSWORD = re.compile(
    # The password ends at the last @ before the host. One that is not encoded as it must be (it
    # holds / ? #) is found too, unless what stands there is a port.
    r"(?<=[a-z0-9])(?P<head>://[^\s:/@'\"<>]{0,256}):"
    r"(?:[^\s'\"<>/?#]{1,512}@"
    r"|(?!\d{1,5}[/?#])(?:(?!://)[^\s'\"<>]){1,512}@)",
    re.IGNORECASE,
)
_QUERY_SECRET = re.compile(
    rf"(?P<head>[?&;][\w.-]{{0,64}}?{_SECRET_NAME}=)(?P<value>[^\s&'\"<>]+)", re.IGNORECASE
)
_NAMED_SECRET = re.compile(
    r"(?P<head>(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|secret[_-]?key|REDISCLI_AUTH)\b\\{0,4}[\"']?"
    rf"{_GAP}(?P<sign>[=:]){_GAP})"
    r"(?:(?P<quote>\\{0,4}[\"'])(?P<quoted>[^\"'\\\n\x1b][^\"'\n\x1b]{0,511}?)(?P=quote)"
    r"|(?P<bare>(?!None\b|null\b|true\b|false\b)[^\s\"',;&<>{}()\[\]\\\x1b]{4,512}))",
    re.IGNORECASE,
)
# With each shape, what a text must hold to have it: most texts hold nothing, and are long.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (needles, re.compile(pattern))
    for needles, pattern in (
        (
            ("private key",),
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[\s\S]*?"
            r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)",
        ),
        (("akia", "asia"), r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b"),
        (("gh",), r"\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
        (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,}\b"),
        (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}\b"),
        (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        (("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b"),
        (("sk-",), r"\bsk-[A-Za-z0-9_-]{20,}"),
        (("aiza",), r"\bAIza[0-9A-Za-z_-]{35}\b"),
        (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
        (("eyj",), r"\beyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]*"),
        # In prose "bearer" and "basic" are words; a credential has a digit, or a header before it.
        (
            ("bearer ",),
            r"(?i)(?<=\bbearer )(?=[a-z._~+/=-]{0,256}\d)[a-z0-9._~+/=-]{8,}",
        ),
        (("bearer ",), r"(?i)(?<=authorization: bearer )[a-z0-9._~+/=-]{8,}"),
        (("basic ",), r"(?i)(?<=authorization: basic )[a-z0-9+/]{4,}={0,2}"),
        (("basic ",), r"(?i)(?<=authorization': 'basic )[a-z0-9+/]{4,}={0,2}"),
        (("basic ",), r"(?i)(?<=authorization\": \"basic )[a-z0-9+/]{4,}={0,2}"),
    )
)
# What a text must hold to name a secret, in a query or in words.
_NAMES = ("pass", "secret", "token", "api", "access", "private", "auth")
_BINARY_MIMES = ("image/png", "image/jpeg", "application/pdf")


def safe_url(url: str) -> str:
    """Return `url`, or a text with URLs in it, with passwords masked, fit for a message."""
    return _mask_query(_mask_password(url))


def _mask_password(url: str) -> str:
    return _URL_PASSWORD.sub(rf"\g<head>:{MASK}@", url)


def _mask_query(url: str) -> str:
    return _QUERY_SECRET.sub(rf"\g<head>{MASK}", url)


def url_secrets(url: str) -> set[str]:
    """Return the secrets in `url`: passwords before its host or in its query, raw and decoded.

    A password that is not encoded as it must be is found as well, up to the last @.
    """
    found = {match["value"] for match in _QUERY_SECRET.finditer(url)}
    for match in _URL_PASSWORD.finditer(url):
        found.add(match[0][len(match["head"]) + 1 : -1])
    if url.count("://") == 1:
        found.add(url.partition("://")[2].rpartition("@")[0].partition(":")[2])
    found.discard("")
    try:
        parts = urlsplit(url)
    except ValueError:
        return found | set(map(unquote, found))
    if parts.password:
        found.add(parts.password)
    found |= {value for name, value in parse_qsl(parts.query) if _SECRET_KEY.search(name)}
    return found | set(map(unquote, found))


def environment_secrets(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Return the values in `environ` that are secret by their variable's name or by being URLs."""
    found: set[str] = set()
    for name, value in environ.items():
        if _SECRET_VARIABLE.search(name) and not _ABOUT_A_SECRET.search(name):
            found.add(value)
        if "://" in value:
            found |= url_secrets(value)
    return found


class Redactor:
    """Masks known secrets, in their encoded forms too, and well-known secret shapes."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the known secrets. One of fewer than six characters is left to the shapes."""
        worth = {secret for secret in map(str.strip, secrets) if _worth_masking(secret)}
        # The longest first, so that a secret inside another leaves no remainder of it.
        forms = [form for secret in sorted(worth, key=len, reverse=True) for form in _forms(secret)]
        self._known = re.compile("|".join(dict.fromkeys(forms))) if forms else None
        # A notebook is masked again after each of its cells, and most of it is as it was.
        self._masked = lru_cache(maxsize=16_384)(self._mask)

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        return self._masked(text)

    def _mask(self, text: str) -> str:
        text = self._without_known(text)
        folded = text.casefold()
        if "://" in text:
            text = _mask_password(text)
        for needles, shape in _SHAPES:
            if any(needle in folded for needle in needles):
                text = shape.sub(MASK, text)
        if any(name in folded for name in _NAMES):
            text = _NAMED_SECRET.sub(_mask_named, _mask_query(text))
        return text

    def tree(self, value: Any) -> Any:
        """Return `value` (JSON: dicts, lists, strings, numbers) with every string masked.

        What stands under a telling key (`{"password": ...}`) is masked whatever it looks like,
        and lists of lines, as notebooks keep text, are masked as one text, so that a secret that
        spans lines is found.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, dict):
            return {self.text(key): self._entry(key, item) for key, item in value.items()}
        return value

    def _list(self, items: list[Any]) -> list[Any]:
        if _is_lines(items):
            return self.text("".join(items)).splitlines(keepends=True)
        return [self.tree(item) for item in items]

    def _entry(self, key: str, item: Any) -> Any:
        if key in _BINARY_MIMES and isinstance(item, str):
            # The shapes have no meaning there, and would spoil a picture by chance.
            return self._without_known(item)
        if key == "traceback" and isinstance(item, list):
            return self.text("\n".join(map(str, item))).split("\n")
        if _SECRET_KEY.search(key) and item and not isinstance(item, bool):
            return MASK
        return self.tree(item)

    def _without_known(self, text: str) -> str:
        return self._known.sub(MASK, text) if self._known else text


def _worth_masking(secret: str) -> bool:
    return len(secret) >= _SHORTEST and secret not in _WORDS_OF_RECORDS


def _is_lines(items: list[Any]) -> bool:
    """Tell whether `items` is a text, as notebooks keep it: lines, each but the last ended."""
    return (
        len(items) > 1
        and all(isinstance(item, str) for item in items)
        and all(item.endswith("\n") for item in items[:-1])
    )


def _mask_named(match: re.Match[str]) -> str:
    if match["quoted"]:
        return f"{match['head']}{match['quote']}{MASK}{match['quote']}"
    if match["sign"] == ":" and match["bare"].isalpha():
        return match[0]  # prose: "invalid token: expired"
    return f"{match['head']}{MASK}"


def _forms(secret: str) -> Iterator[str]:
    """Yield patterns of `secret` as it stands in URLs, JSON, HTML, literals, base64 and hex."""
    yield "".join(map(_run, re.findall(r"\\+|[^\\]", secret))).removeprefix(_ESCAPES)
    raw = secret.encode(errors="surrogateescape")
    yield f"(?i:{raw.hex()})"
    for shift in range(3):
        # In base64 of a longer text a secret has three alignments; its characters but the first
        # and the last do not depend on their neighbours.
        coded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = coded[(0, 2, 3)[shift] : -1 if (len(raw) + shift) % 3 else None]
        yield "".join(_BASE64.get(character, character) for character in inner)


_BASE64 = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|%2[Ff])"}
_SHORT_ESCAPES = {
    " ": r"|\+",
    "\n": r"|n|<br ?/?>",
    "\t": r"|t",
    "\r": r"|r",
    "\b": "|b",
    "\f": "|f",
}
# Possessive: a run of backslashes is read once, never tried in another way.
_ESCAPES = r"\\{0,8}+"


def _run(run: str) -> str:
    """Return a pattern of one character, or of a run of backslashes, escaped in any usual way.

    Escapes of escapes are seen too, since messages quote messages. Shells, regular expressions
    and Markdown put a backslash before any character.
    """
    if run.startswith("\\"):
        often = len(run)
        return rf"(?:\\{{{often},{often * 8}}}+|(?:{_ESCAPES}(?i:{_escaped(run[0])})){{{often}}})"
    if run.isascii() and run.isalnum():
        return _ESCAPES + run
    return rf"{_ESCAPES}(?:{re.escape(run)}|(?i:{_escaped(run)}){_SHORT_ESCAPES.get(run, '')})"


def _escaped(character: str) -> str:
    """Return a pattern of `character` in URLs, HTML, JSON and Python, less any backslash."""
    code = ord(character)
    utf8 = character.encode(errors="surrogateescape")
    utf16 = character.encode("utf-16-be", errors="surrogatepass").hex()
    name = codepoint2name.get(code) or html.escape(character)[1:-1]
    ways = [
        "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in utf8),
        _ESCAPES.join(f"x{byte:02x}" for byte in utf8),
        _ESCAPES.join(f"u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4)),
        f"U{code:08x}",
        f"x{code:02x}",
        f"&(?:amp;){{0,3}}(?:#0{{0,4}}(?:{code}|x{code:x}){f'|{name}' if name else ''});",
    ]
    return "|".join(ways)
