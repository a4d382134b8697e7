# ruff: noqa: E501 - a pattern is read best on one line
"""Secrets in links: webhooks, tokens before a host, signatures and tokens in paths and queries."""

from __future__ import annotations

from collections.abc import Iterator

from opsnb.redaction.rules import Rule, Rules, rule
from opsnb.redaction.spans import Span
from opsnb.redaction.urls import QUERY_SECRET, URL_PASSWORD
from opsnb.redaction.words import is_mixed


def _is_value(value: str) -> bool:
    is_placeholder = (
        value[0] in "<$*{[" or set(value) <= set("xX*.-") or value in ("password", "pass")
    )
    return not is_placeholder


def _is_given(value: str) -> bool:
    return _is_value(value) and not value.isdigit()


def _is_token(value: str) -> bool:
    """Whether the text before a host is not a user name."""
    if "." in value or "%40" in value:
        return False
    letters = "".join(character for character in value if character.isalpha())
    return is_mixed(letters) or (is_mixed(value) and len(value) >= _LONG_TOKEN)


_LONG_TOKEN = 20
_RULES = Rules((
    rule("://", r"(?<=://)(?=[^\s/@:]{0,200}[A-Z0-9])(?P<value>[\w.~%+=-]{16,512})(?::(?:x-oauth-basic)?)?(?=@[\w\[])", _is_token),
    Rule(("?", "&", ";"), QUERY_SECRET, _is_given),
    rule("? & ;", r"(?i)" r"[?&;](?:sig|signature|x-amz-signature|x-goog-signature|x-amz-credential|sessionid|session|sid|ticket|auth" r"|jwt|otp|jsessionid|phpsessid|key|hmac|sharekey|hash_key|client_assertion|code_verifier)=" r"(?P<value>[^\s&'\"<>#\\]{8,4096})", _is_given),
    rule(";jsessionid", r"(?i);jsessionid=(?P<value>[\w.!-]{8,256})"),
    rule("hooks.slack", r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/(?:\w+/){2,3}(?P<value>\w{8,64}+)(?!/)"),
    rule("/api/webhooks/", r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{5,25}/(?P<value>[\w-]{20,128})"),
    rule("pagerduty", r"pagerduty\.com/integration/(?P<value>\w{20,64})"),
    rule("hc-ping.com", r"hc-ping\.com/(?P<value>[\w-]{20,64})"),
    rule("hooks.zapier.com", r"hooks\.zapier\.com/hooks/catch/\d+/(?P<value>\w{5,32})"),
    rule("maker.ifttt.com", r"/with/key/(?P<value>[\w-]{16,64})"),
    rule("/hooks/", r"/hooks/(?:\w{17}/)?(?P<value>(?=[a-z]{0,60}[0-9A-Z])\w{24,64})\b"),
    rule("heartbeat", r"/heartbeats?/(?P<value>(?=[\w-]{0,63}\d)(?=[\w-]{0,63}[a-zA-Z])[\w-]{20,128})\b"),
    rule("/hook/ hook.eu hook.us webhook.site cronitor.link", r"(?:/hook|//hook\.[\w.]{1,16}make\.com|//webhook\.site|//cronitor\.link/p)/(?P<value>(?=[\w-]{0,63}\d)(?=[\w-]{0,63}[a-zA-Z])[\w-]{20,128})\b"),
    rule("geniekey", r"(?i)[?&]genieKey=(?P<value>[\w-]{16,64})"),
    rule("/webhook", r"/webhooks?/(?:[\w-]{1,40}/){0,3}(?P<value>(?=[\w-]{0,63}\d)(?=[\w-]{0,63}[a-zA-Z])[\w-]{24,128})\b"),
    rule("api.telegram.org", r"/bot\d{5,12}:(?P<value>[\w-]{20,64})"),
    rule("reset", r"/(?:[\w-]{0,20}reset[\w-]{0,20}|magic-link|invitations?)/(?P<value>(?=[\w-]{0,63}\d)(?=[\w-]{0,63}[a-zA-Z])[\w.-]{16,512})"),
    rule("magic-link", r"/magic-link/(?P<value>[\w.-]{16,512})"),
    rule("opsgenie", r"opsgenie\.com/\S{0,120}?apiKey=(?P<value>[\w-]{16,64})"),
    rule("webhook.office.com outlook.office.com", r"/IncomingWebhook/(?P<value>[\w-]{16,64}(?:/[\w-]{8,64}){0,2})"),
    rule("squadcast", r"squadcast\.com/v\d/incidents/\w+/(?P<value>\w{16,64})"),
    rule("splunk", r"/integrations/generic/\d+/alert/(?P<value>[\w-]{16,64})"),
    # Database names in driver formats: the password ends before a character that hosts do not have.
    rule("@tcp( @udp( @unix(", r"(?<![\w/:])[\w.-]{1,64}:(?P<value>[^\s@:/'\"]{1,256})@(?:tcp|udp|unix)\("),
    rule("jdbc:oracle", r"jdbc:oracle:\w+:[\w$#.-]{1,64}/(?P<value>[^\s@'\"]{1,128})@"),
))  # fmt: skip


def link_spans(text: str, folded: str) -> Iterator[Span]:
    """Yield the spans of secrets in links; `folded` is in lower case."""
    yield from _RULES.spans(text, folded)
    if "://" in text and "@" in text:
        for match in URL_PASSWORD.finditer(text):
            start, end = match.end("head") + 1, match.end() - 1
            if _is_value(text[start:end]):
                yield start, end
