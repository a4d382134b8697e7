# ruff: noqa: E501 - a pattern is read best on one line
"""Credentials in HTTP headers and cookies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.rules import Rules, rule
from opsnb.redaction.spans import Span
from opsnb.redaction.words import is_credential, is_mixed, is_word

_OPEN = r"[\"'`]?\]?[ \t]{0,4}(?:[:=]|=>|,)[ \t]{0,4}(?:\[[ \t]{0,4})?[\"'`]?"
_AUTHORIZATION = re.compile(
    rf"authorization{_OPEN}(?P<scheme>(?:bearer|basic|token|apikey|api-key|key|negotiate|ntlm|jwt|oauth"
    r"|hawk|sharedkey(?:lite)?[ \t]+[\w.-]{1,64}:(?=\S)|sso-key|genie-?key|splunk|digest|dpop|bot|pve[\w]+=|aws4-hmac-sha256)(?:[ \t]+|(?<=:)))?"
    r"(?:token=[\"']?)?(?P<value>[^\s\"'`,;<>{}()\[\]\\]{4,8192}+)(?![ \t]+\[)",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\b(?:signature|response|oauth_signature|cnonce|oauth_token)=\"?([\w%+/=-]{16,512})",
    re.IGNORECASE,
)
_COOKIES = re.compile(
    r"\b(?:set-)?cookies?2?" + _OPEN + r"(?P<cookies>[^\n\"'`\]\\<>]{3,8192})", re.IGNORECASE
)
_COOKIE = re.compile(r"(?P<name>[\w.$!#%&*+^|~-]{1,64})=(?P<value>[^\s;,\"']{1,4096})")
_ATTRIBUTES = frozenset(
    {"path", "domain", "expires", "max-age", "samesite", "version", "priority", "comment", "port"}
)
_OF_STATISTICS = ("_ga", "_gid", "_fbp", "_pk_")
_SESSION = re.compile(
    r"sid$|sess|auth|token|jwt|csrf|xsrf|remember|login|secret|ticket|sso|identity|^id$|_id$|key$",
    re.IGNORECASE,
)
_RULES = Rules((
    rule("hawk_", r"(?i)\bhawk [^\n]{0,512}?\bmac=\"(?P<value>[\w+/=-]{16,512})\""),
    rule("bearer.authorization.k8s.io.", r"bearer\.authorization\.k8s\.io\.(?P<value>[\w-]{16,8192})"),
    rule("bearer_ basic_ token_", r"(?i)" r"\b(?:bearer|basic|token)[ \t]+(?!--)(?P<value>[A-Za-z0-9._~+/=-]{8,8192})", lambda value: is_credential(value, shortest=16)),
    rule("x- -token api-key apikey", r"(?i)" r"\b(?:x-(?!cache|surrogate|request|idempotency|partition|correlation|trace)[a-z-]{0,40}(?:token|key|auth|secret|signature|password)|private-token|api-?key|dd-api-key|job-token" rf"|dd-application-key|x-amz-security-token){_OPEN}(?P<value>[^\s\"'`,;<>{{}}()\[\]\\]{{6,4096}})", lambda value: not is_word(value)),
    rule("sess .sid csrf xsrf remember secure- host-", r"\b(?:connect\.sid|PHPSESSID|JSESSIONID|ASP\.NET_SessionId|ASPSESSIONID\w{8}|laravel_session|_session_id" r"|sessionid|session_token|__Secure-[\w.-]+|__Host-[\w.-]+|next-auth\.session-token|XSRF-TOKEN|csrftoken" r"|remember_token|_forum_session|_gitlab_session|grafana_session|_[a-z]+_session|koa[.:]sess(?:\.sig)?" r"|express:sess(?:\.sig)?|rack\.session|sails\.sid|wordpress_logged_in_\w+)[\"']?[=:][ \t]?[\"']?" r"(?P<value>[^\s;,\"'&<>\\)\]}]{8,4096})"),
))  # fmt: skip


def header_spans(text: str, folded: str) -> Iterator[Span]:
    """Yield the spans of credentials in headers and cookies; `folded` is in lower case."""
    yield from _RULES.spans(text, folded)
    if "authorization" in folded:
        yield from _authorizations(text)
    if "cookie" in folded:
        for header in _COOKIES.finditer(text):
            for cookie in _COOKIE.finditer(text, *header.span("cookies")):
                if _is_session(cookie["name"], cookie["value"]):
                    yield cookie.span("value")


def _authorizations(text: str) -> Iterator[Span]:
    for match in _AUTHORIZATION.finditer(text):
        scheme, value = (match["scheme"] or "").strip().lower(), match["value"]
        if scheme in ("digest", "aws4-hmac-sha256", "oauth"):
            line = text.find("\n", match.end())
            end = min(match.end() + 2048, line if line >= 0 else len(text))
            for part in _PART.finditer(text, match.start(), end):
                yield part.span(1)
            continue
        is_scheme = not scheme and (len(value) < _LEAST or (value.isalpha() and value.islower()))
        if not (is_word(value) or is_scheme):
            yield match.span("value")


def _is_session(name: str, value: str) -> bool:
    if name.lower() in _ATTRIBUTES or name.startswith(_OF_STATISTICS) or value.startswith("["):
        return False
    if _SESSION.search(name):
        return len(value) >= _LEAST_SESSION and not is_word(value)
    return len(value) >= _LEAST_UNKNOWN and is_mixed(value)


_LEAST, _LEAST_SESSION, _LEAST_UNKNOWN = 8, 6, 20
