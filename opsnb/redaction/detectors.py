# ruff: noqa: E501 - a pattern is read best on one line
"""Keys and tokens with a recognisable form: those of detect-secrets, and more."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from functools import cache

from opsnb.redaction.spans import Span

# The detectors of detect-secrets that do not mask harmless ids: for each, what a text must contain
# in lower case, and how many of its patterns are used. Detectors of randomness or of any long value
# after a word are left out, and those whose time grows faster than the text.
_DETECTORS: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ("artifactory", "ArtifactoryDetector", ("akc",), 1),
    ("aws", "AWSKeyDetector", ("akia", "asia", "abia", "acca", "a3t", "aws"), 2),
    ("azure_storage_key", "AzureStorageKeyDetector", ("accountkey=",), 1),
    ("cloudant", "CloudantDetector", ("cloudant", "cl_", "clou"), 2),
    ("discord", "DiscordBotTokenDetector", (".",), 1),
    ("github_token", "GitHubTokenDetector", ("gh",), 1),
    ("gitlab_token", "GitLabTokenDetector", ("gl", "gr1348941"), 9),
    ("ibm_cos_hmac", "IbmCosHmacDetector", ("secret",), 1),
    ("mailchimp", "MailchimpDetector", ("-us",), 1),
    ("pypi_token", "PypiTokenDetector", ("pypi-",), 2),
    ("sendgrid", "SendGridDetector", ("sg.",), 1),
    ("slack", "SlackDetector", ("xox",), 1),
    ("softlayer", "SoftlayerDetector", ("softlayer", "sl_", "slapi"), 2),
    ("square_oauth", "SquareOAuthDetector", ("sq0csp",), 1),
    ("stripe", "StripeDetector", ("k_live_",), 1),
)
_NEEDLES = [
    (needle, number) for number, (_, _, needles, _) in enumerate(_DETECTORS) for needle in needles
]
_WORD = r"[A-Za-z0-9]"
_START, _END = rf"(?<!{_WORD})", rf"(?!{_WORD})"

# The prefix of a key, and the rest.
_PREFIXES: dict[str, str] = {
    "AIza": r"[\w-]{35}",
    "ya29.": r"[\w-]{20,2048}",
    "GOCSPX-": r"[\w-]{20,64}",
    "1//0": r"[\w-]{40,512}",
    "github_pat_": r"[A-Za-z0-9_]{22,255}",
    "ghp_": r"[A-Za-z0-9]{30,255}", "gho_": r"[A-Za-z0-9]{30,255}", "ghu_": r"[A-Za-z0-9]{30,255}",
    "ghs_": r"[A-Za-z0-9]{30,255}", "ghr_": r"[A-Za-z0-9]{30,255}",
    "glpat-": r"[\w.-]{20,300}", "gldt-": r"[\w-]{20,64}", "glrt-": r"[\w.-]{20,300}",
    "xoxa-": r"[\w-]{10,255}", "xoxb-": r"[\w-]{10,255}", "xoxp-": r"[\w-]{10,255}",
    "xoxs-": r"[\w-]{10,255}", "xoxr-": r"[\w-]{10,255}", "xoxo-": r"[\w-]{10,255}",
    "xoxc-": r"[\w-]{10,255}", "xoxd-": r"[\w%+/=-]{10,512}", "xoxe-": r"[\w-]{10,255}",
    "xoxe.xoxp-": r"[\w-]{10,255}", "xapp-": r"[\w-]{10,255}",
    "sk_live_": r"[A-Za-z0-9]{10,255}", "sk_test_": r"[A-Za-z0-9]{10,255}",
    "rk_live_": r"[A-Za-z0-9]{10,255}", "rk_test_": r"[A-Za-z0-9]{10,255}",
    "whsec_": r"[A-Za-z0-9+/=_-]{20,255}",
    "sk-": r"(?=[\w-]{0,200}\d)(?=[\w-]{0,200}[A-Za-z])[\w-]{20,255}",
    "gsk_": r"[A-Za-z0-9]{32,128}", "xai-": r"[A-Za-z0-9]{32,128}", "hf_": r"[A-Za-z]{30,40}",
    "r8_": r"[A-Za-z0-9]{37}", "pplx-": r"[A-Za-z0-9]{32,64}", "lsv2_": r"[ps][tk]_[a-f0-9_]{32,64}",
    "npm_": r"[A-Za-z0-9]{36}", "pypi-": r"[\w-]{50,512}", "rubygems_": r"[a-f0-9]{48}",
    "dckr_pat_": r"[\w-]{20,64}", "dckr_oat_": r"[\w-]{20,64}",
    "dop_v1_": r"[a-f0-9]{64}", "doo_v1_": r"[a-f0-9]{64}", "dor_v1_": r"[a-f0-9]{64}",
    "shpat_": r"[a-fA-F0-9]{32}", "shpca_": r"[a-fA-F0-9]{32}", "shppa_": r"[a-fA-F0-9]{32}",
    "shpss_": r"[a-fA-F0-9]{32}",
    "xkeysib-": r"[a-f0-9]{64}-\w{16}", "xsmtpsib-": r"[a-f0-9]{64}-\w{16}",
    "hvs.": r"[\w-]{20,300}", "hvb.": r"[\w-]{20,300}", "hvr.": r"[\w-]{20,300}",
    "glc_": r"[A-Za-z0-9+/=]{32,400}", "glsa_": r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}",
    "lin_api_": r"[A-Za-z0-9]{40}", "ntn_": r"[A-Za-z0-9]{40,60}", "secret_": r"[A-Za-z0-9]{43}",
    "figd_": r"[\w-]{40,64}", "NRAK-": r"[A-Z0-9]{27}", "NRII-": r"[\w-]{32}", "NRJS-": r"[a-f0-9]{19}",
    "pul-": r"[a-f0-9]{40}", "PMAK-": r"[a-f0-9]{24}-[a-f0-9]{34}", "sntrys_": r"[A-Za-z0-9+/=_-]{40,512}",
    "sntryu_": r"[a-f0-9]{64}", "dp.": r"(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,80}",
    "AGE-SECRET-KEY-1": r"[A-Z0-9]{58}", "FLWSECK": r"(?:_TEST)?-[A-Za-z0-9-]{12,64}",
    "ATATT3": r"[\w=-]{50,255}", "ATCTT3": r"[\w=-]{50,255}", "BBDC-": r"[A-Za-z0-9+/@_-]{40,50}",
    "ATBB": r"[A-Za-z0-9]{32}", "dapi": r"[a-h0-9]{32}(?:-\d)?", "LTAI": r"[A-Za-z0-9]{20}",
    "sq0atp-": r"[\w-]{22}", "sq0csp-": r"[\w-]{43}", "EAAA": r"[\w-]{60}", "EZAK": r"[A-Za-z0-9]{54}",
    "phx_": r"[A-Za-z0-9]{32,64}", "sbp_": r"[a-f0-9]{40}", "nfp_": r"[A-Za-z0-9]{36,44}",
    "pscale_tkn_": r"[\w.-]{32,64}", "pscale_pw_": r"[\w.-]{32,64}", "pscale_oauth_": r"[\w.-]{32,64}",
    "npg_": r"[A-Za-z0-9]{10,40}", "rnd_": r"[A-Za-z0-9]{28,40}", "fm2_": r"[A-Za-z0-9+/=]{50,1024}",
    "tskey-": r"[a-z]+-[\w-]{16,80}", "sgp_": r"(?:[a-f0-9]{16}_|local_)?[a-f0-9]{40}",
    "mdb_sa_sk_": r"[\w-]{30,60}", "A3-": r"[A-Z0-9]{6}(?:-[A-Z0-9]{5,11}){4,5}",
    "ops_eyJ": r"[A-Za-z0-9+/=_-]{100,2048}", "CLOJARS_": r"[a-z0-9]{60}", "AKCp": r"[A-Za-z0-9]{60,72}",
    "cmVmd": r"[A-Za-z0-9]{59}", "rzp_live_": r"[A-Za-z0-9]{14}", "pat-": r"(?:na|eu)\d-[a-f0-9-]{36}",
    "p8e-": r"[A-Za-z0-9]{32}", "duffel_live_": r"[\w=-]{43}", "AC_live_": r"[A-Za-z0-9]{20,64}",
    "SG.": r"[\w-]{16,32}\.[\w-]{16,64}", "re_": r"[A-Za-z0-9]{8}_[A-Za-z0-9]{24}",
    "SCRAM-SHA-256$": r"\d+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+",
    "$argon2": r"(?:id|i|d)\$v=\d+\$[\w=,]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+",
    "$2a$": r"\d\d\$[./A-Za-z0-9]{53}", "$2b$": r"\d\d\$[./A-Za-z0-9]{53}", "$2y$": r"\d\d\$[./A-Za-z0-9]{53}",
    "$6$": r"(?:rounds=\d+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}",
    "$5$": r"(?:rounds=\d+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}",
    "$apr1$": r"[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}", "$1$": r"[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}",
    "$y$": r"[./A-Za-z0-9]+\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{43}",
}  # fmt: skip
# Others, with what a text must contain.
_FORMS: tuple[tuple[str, str], ...] = (
    ("eyJ", rf"{_START}eyJ[\w-]{{8,8192}}+\.eyJ[\w-]{{8,8192}}+(?:\.[\w-]{{0,8192}}+)?"),
    ("eyJ", rf"{_START}eyJ[\w-]{{16,8192}}+\.[\w-]{{0,1024}}+\.[\w-]{{8,8192}}+\.[\w-]{{8,8192}}+\.[\w-]{{8,512}}+"),
    (":AA", rf"{_START}(?:bot)?\d{{8,10}}:(AA[\w-]{{33}}){_END}"),
    ("SK", rf"{_START}SK(?=[a-f]{{0,31}}\d)[a-f0-9]{{32}}{_END}"),
    ("Q~", rf"{_START}[\w~.]{{3}}\dQ~[\w~.-]{{31,34}}{_END}"),
    (".atlasv1.", rf"{_START}[A-Za-z0-9]{{14}}\.atlasv1\.[\w=-]{{40,80}}"),
    ("v1.0-", rf"{_START}v1\.0-[a-f0-9]{{24}}-[a-f0-9]{{100,160}}"),
    ("sl.", rf"{_START}sl\.(?:u\.)?[A-Za-z0-9_-]{{100,1500}}"),
)  # fmt: skip


def token_spans(text: str, folded: str) -> Iterator[Span]:
    """Yield the spans of keys and tokens of well-known services; `folded` is in lower case."""
    for pattern in [pattern for prefix, pattern in _patterns() if prefix in text]:
        for match in pattern.finditer(text):
            yield match.span(pattern.groups)
    for number in sorted({number for needle, number in _NEEDLES if needle in folded}):
        if _may_have(number, text):
            for pattern in _detector(number):
                for match in pattern.finditer(text):
                    if _stands_alone(text, match.start(), match.end()):
                        yield match.span(pattern.groups)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    prefixed = [
        (prefix, re.compile(rf"{_START}{re.escape(prefix)}{rest}{_END}"))
        for prefix, rest in _PREFIXES.items()
    ]
    return prefixed + [(needle, re.compile(pattern)) for needle, pattern in _FORMS]


# No detector matches without a long word, which most lines do not have.
_LONG_WORD = re.compile(r"[\w+/-]{20}")


def _may_have(number: int, text: str) -> bool:
    name = _DETECTORS[number][0]
    if name == "discord":
        return bool(_DISCORD.search(text))
    return bool(_LONG_WORD.search(text))


_DISCORD = re.compile(r"\.[\w-]{6}\.[\w-]{27}")


@cache
def _detector(number: int) -> list[re.Pattern[str]]:
    # Imported here: slow to import, and rarely needed.
    from importlib import import_module  # noqa: PLC0415

    module, name, _, taken = _DETECTORS[number]
    shows = warnings.showwarning
    detector = getattr(import_module(f"detect_secrets.plugins.{module}"), name)
    if warnings.showwarning is not shows:
        # It takes all warnings for its log, where nobody sees those of a notebook.
        logging.captureWarnings(False)
    return list(detector.denylist)[:taken]


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a match is not part of a longer word, such as a base64 hash."""
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
