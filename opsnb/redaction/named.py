# ruff: noqa: E501 - a pattern is read best on one line
"""Values with secret names: assignments, options, settings, fields of JSON and YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsnb.redaction.secret_names import HINTS, WORDS, kind_of
from opsnb.redaction.spans import Span
from opsnb.redaction.words import is_mixed

_NAME_START = re.compile(r"[\w.-]{0,64}$")
_QUOTE = r"[\"'`]"
_AFTER = re.compile(
    r"[\w-]{0,40}+"
    r"(?:(?P<closing>[\"'`\]]{0,3}[ \t]{0,8}(?P<sign>=>|:=|={1,3}|!==?|:|\.{4,80}+|[ \t]{0,40}[│|])[ \t]{0,8}(?:string\(\d{1,5}\) )?(?:(?:Some|String|SecretStr)\(){0,2}(?:[NEeBbRrUuFf@](?=[\"'])|U&(?='))?)"
    r"|(?P<argument>[\"'](?:,[ \t\n]{0,8}|[ \t]{1,8})(?=[\"'])|[ \t]{1,8}))"
    rf"(?:\"(?P<double>[^\"\n]{{1,1024}})\"|'(?P<single>(?:[^'\\\n]|''|\\[^\n]){{1,1024}})'(?!')"
    rf"|`(?P<back>[^`\n]{{1,1024}})`|{_QUOTE}?(?P<bare>[^\s\"'`,;&<>{{}}()\[\]\\|]{{1,1024}}+))"
    r"(?P<call>[(\[{])?"
)
_VALUES = ("double", "single", "back", "bare")
_ENVIRONMENT = re.compile(r"[^\s\"'`<>\\]{1,1024}")
# The same with quoted and escaped parts, or with a quote that has no partner.
_SHELL_WORD = re.compile(
    r"(?:[^\s\"'`<>\\]|\\[^\s]|'[^'\n]{0,256}'|\"(?:[^\"\\\n]|\\[^\n]){0,256}\"|[\"']){1,512}+"
)
_QUOTES = ('"', "'", "\\")
_FOLDED = re.compile(
    r"[\w\"'-]{0,40}+(?P<sign>:)[ \t]{0,8}[|>][+-]?\n(?P<value>[ \t]+\S[^\n]{2,1024})"
)

_PLACEHOLDER = re.compile(
    r"(?:\*+|x{3,}|X{3,}|\.{2,}|…|•+|-+|_+|\?+|<[^>]*>?|\[[^\]]*\]?|\{\{.*|\$\{.*|\$[A-Za-z_(]\w*.*|\$\d+"
    r"|%[A-Za-z_]+%|%\(?\w*\)?[sd]|:\w+|#\{.*|@\w+|\{\w*\}|%v|process\.env.*|os\.environ.*|env\..*)[,;.]?$",
)
_NOTHING_SECRET = frozenset({
    "true", "false", "null", "none", "nil", "undefined", "nan", "yes", "no", "on", "off", "ok",
    "empty", "blank", "unset", "set", "missing", "invalid", "expired", "required", "optional",
    "hidden", "masked", "filtered", "redacted", "secret", "password", "passwd", "token",
    "tokens", "string", "str", "text", "varchar", "char", "bytes", "int", "integer", "number",
    "boolean", "bool", "object", "any", "unknown", "default", "is", "was", "are", "has", "not",
    "and", "or", "the", "a", "an", "to", "of", "in", "for", "with", "from", "must", "should",
    "cannot", "can", "will", "may", "expected", "unexpected", "incorrect", "wrong", "mismatch",
    "disabled", "enabled", "rejected", "forgotten", "changed", "unchanged", "provided",
    "configured", "protected", "encrypted", "authentication", "authorization", "auth", "header",
    "option", "flag", "argument", "parameter", "value", "given", "as", "at", "by", "if", "when",
    "that", "this", "it", "be", "been", "only", "instead", "needs", "basic", "bearer", "digest",
    "many", "few", "some", "all", "used", "unused", "revoked", "valid", "verified", "granted",
    "denied", "failed", "success", "error", "prompt", "env", "environment", "file", "stdin",
    "vault", "keychain", "manual", "auto", "rotated", "pending", "created", "updated",
    "deleted", "refresh", "access", "reset_at", "user", "username", "hash", "salt", "bcrypt",
    "scram-sha-256", "md5", "trust", "peer", "ident", "await", "new", "yield", "async",
    "lambda", "function", "return", "typeof", "func", "let", "const", "var",
})  # fmt: skip
_CODE = re.compile(
    r"(?:self|this|process|os|config|settings|req|request|res|env|ctx|context|props|state|args|options|opts"
    r"|params|data|user|cfg|conf|app|body|session|cls|event|input|var|local|secrets|module|db|credentials"
    r"|target|client|conn|connection|kwargs|payload|input|values|form|auth|account|props|store|server|obj)"
    r"(?:\??\.[A-Za-z_$][\w$]*)+$"
)
_SHORTEST = {"password": 3, "token": 4, "loose": 8}


def named_spans(text: str, folded: str) -> Iterator[Span]:
    """Yield the spans of values with secret names in `text`; `folded` is it in lower case."""
    seen = -1
    for hit in _hits(folded):
        if hit < seen:
            continue
        if span := _value(text, hit):
            yield span
            seen = span[1]


def _hits(folded: str) -> list[int]:
    hits = []
    for hint in HINTS:
        at = folded.find(hint)
        while at >= 0:
            hits.append(at)
            at = folded.find(hint, at + len(hint))
    return sorted(hits)


def _value(text: str, hit: int) -> Span | None:
    """Return the span of the secret that the name at `hit` names, if any."""
    after = _AFTER.match(text, hit)
    if not after:
        folded = _FOLDED.match(text, hit)
        is_named = folded and kind_of(_name(text, hit, folded.start("sign")))
        return folded.span("value") if folded and is_named else None
    name = _name(text, hit, after.start("closing" if after["sign"] else "argument"))
    kind = kind_of(name)
    if kind is None:
        return None
    group = next(group for group in _VALUES if after[group] is not None)
    if group == "bare" and _is_empty(text, name, after):
        return None
    start, end = after.span(group)
    if group == "bare":
        end = _end_of_bare(text, start, end, name, after)
    if word := _shell_word(text, name, after, (start, end)):
        start, end, group = *word, "double"
    value = text[start:end]
    is_secret = (
        (after["sign"] or _takes_argument(text, name, hit, group))
        and _may_be_secret(value, kind, name, quoted=group != "bare")
        and (group != "bare" or _may_be_bare(text, hit, after, name, kind, value))
    )
    return (start, end) if is_secret else None


def _is_empty(text: str, name: str, after: re.Match[str]) -> bool:
    """Whether the name has no value, so that the word behind a blank is the next of its line.

    `PW= node server.js`, `password= host=db1`, `--token --verbose`.
    """
    word: str = after["bare"]
    if after["argument"]:
        return bool(_OPTION.match(word))
    if not after["closing"].startswith("=") or after.start("bare") == after.end("sign"):
        return False
    is_shell = name.isupper() and _FURTHER.match(text, after.end("bare"))
    if is_shell and (not is_mixed(word) or _FOLDER.match(word)):
        return True
    return bool(_OPTION.match(word) or _ASSIGNMENT.match(word))


def _shell_word(text: str, name: str, after: re.Match[str], found: Span) -> Span | None:
    """Return the span of a shell word that goes on behind a quote: PW=a'b"c, PW='a'"'"'b'."""
    at = after.start("closing") - len(name)
    is_quoted = text[max(at - 1, 0) : at] in _QUOTES
    if is_quoted or not _is_environment(name, after) or not _goes_on(text, *found):
        return None
    word = _SHELL_WORD.match(text, after.end("closing"))
    return word.span() if word and word.end() > found[1] + 1 else None


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether the quote or backslash at the end of a value is inside of a longer word."""
    this, following = text[end : end + 1], text[end + 1 : end + 2]
    inside = following.isalnum() or following in _QUOTES
    if text[start - 1] in _QUOTES:
        return text[end - 1] == "\\" or inside
    return this in _QUOTES and inside


def _end_of_bare(text: str, start: int, end: int, name: str, after: re.Match[str]) -> int:
    """Return the end of a value without quotes, without the punctuation after it."""
    if _is_environment(name, after) and (whole := _ENVIRONMENT.match(text, start)):
        end = whole.end()
    while end > start and text[end - 1] in ".,;:!?)":
        end -= 1
    return end


def _may_be_bare(  # noqa: PLR0913, PLR0917 - the parts of one match
    text: str, hit: int, after: re.Match[str], name: str, kind: str, value: str
) -> bool:
    """Whether a value without quotes is not a function call or a word of a sentence."""
    if after["call"] and not _is_environment(name, after):
        return False
    if after["closing"] == ":" and not after["closing"].endswith(" ") and kind != "password":
        # A cache key, such as token:user:42, rather than a setting.
        return (
            ":" not in value
            and len(value) >= _LEAST_TOKEN
            and is_mixed(value)
            and not _ID.match(value)
        )
    if after["closing"] == ":" and ":" in value:
        return False
    is_cell = (after["sign"] or " ")[-1] in "│|"
    if is_cell and not (is_mixed(value) and len(value) >= _LEAST_SETTING):
        return False  # a table header
    is_word = after["sign"] == ":" and value.isalpha()
    return not is_word or _is_setting(text, hit, after, kind, value)


def _name(text: str, hit: int, end: int) -> str:
    start = _NAME_START.search(text, max(0, hit - 64), hit)
    return text[start.start() if start else hit : end]


def _takes_argument(text: str, name: str, hit: int, group: str) -> bool:
    """Whether the word after the name is its value: of an option, in SQL, in a file."""
    plain = name.lower()
    if name.startswith("-"):
        return True
    # CREATE ROLE ... PASSWORD '...', CREATE SECRET (... SECRET '...')
    if group == "single" and (plain in ("password", "passphrase") or name == "SECRET"):
        return True
    if plain in ("requirepass", "masterauth"):
        return True
    line = text[max(0, hit - 200) : hit].rpartition("\n")[2]
    if plain in ("password", "passwd") and re.search(r"\blogin\s+\S+\s+$", line):  # .netrc
        return True
    # aws configure set aws_secret_access_key VALUE
    return bool(re.search(r"\b(?:configure|config) set\s+[\w.-]*$", line)) and group == "bare"


def _is_environment(name: str, after: re.Match[str]) -> bool:
    """Whether it is a shell assignment, whose value ends at a space."""
    return after["closing"] == "=" and name.isupper()


def _is_setting(text: str, hit: int, after: re.Match[str], kind: str, value: str) -> bool:
    """Whether `name: word` is YAML or a header rather than a sentence."""
    start = text.rfind("\n", 0, hit) + 1
    before = text[start:hit]
    ends = text[after.end() : after.end() + 1] in ("", "\n", "\r")
    if re.search(r"\bx-[\w-]*$", before, re.IGNORECASE) and len(value) >= _LEAST_SETTING:
        return True
    mixed = not (value.islower() or value.isupper() or value.istitle())
    if mixed and len(value) >= _LEAST_MIXED:
        return True
    return (
        ends
        and kind != "loose"
        and len(value) >= _LEAST_SETTING
        and not re.search(r"\w\s+[\w.-]*$", before)
    )


def _may_be_secret(value: str, kind: str, name: str, *, quoted: bool) -> bool:
    plain = value.strip().lower()
    shortest = 1 if quoted and kind != "loose" else _SHORTEST[kind]
    if len(plain) < shortest or _stands_for_a_value(value, plain, name):
        return False
    last = WORDS.findall(name)[-1].lower()
    if plain.isdigit():
        return kind == "password" and last != "pass" and len(plain) >= _LEAST_DIGITS
    if last == "pwd" and _FOLDER.match(value):
        return False
    if kind == "loose":
        return " " not in plain and _is_random(value)
    if kind == "token":
        # Punctuation, a short word or a sentence is not a token.
        return (
            bool(re.search(r"\w", value))
            and value.count(" ") < _FEW
            and (quoted or len(plain) > _WORD or not plain.isalpha())
        )
    return True


def _stands_for_a_value(value: str, plain: str, name: str) -> bool:
    """Whether it is a placeholder, a word about secrets, or a name in source code."""
    named = "".join(word.lower() for word in WORDS.findall(name))
    is_its_own_name = re.sub(r"[\W_]", "", plain) == named  # password=password, as in code
    return (
        is_its_own_name
        or plain in _NOTHING_SECRET
        or bool(_PLACEHOLDER.match(value) or _CODE.match(value))
    )


_LEAST_DIGITS, _FEW, _WORD, _LEAST_SETTING, _LEAST_MIXED = 4, 3, 5, 8, 12
_LEAST_TOKEN = 20
_ID = re.compile(r"[0-9a-f-]+$")
_OPTION = re.compile(r"--?[a-zA-Z]")
_FURTHER = re.compile(r"[ \t]+\S")
_ASSIGNMENT = re.compile(r"[A-Za-z_][\w.-]{0,40}=(?!=|$)")
_FOLDER = re.compile(r"[/~.]|[A-Za-z]:[\\/]")


def _is_random(value: str) -> bool:
    """Whether a word has digits, or capitals unlike a name."""
    return any(c.isdigit() for c in value) or not (
        value.islower() or value.isupper() or value.istitle()
    )
