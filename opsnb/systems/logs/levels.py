"""How bad an entry is: by its level in words, letters or numbers, or else by its words.

Pure functions. A level that is written decides; words count where there is none.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_SEVERE = "err|error|eror|fatal|ftl|crit|critical|alert|emerg|emergency|panic|dpanic|severe"
_MILD = (
    "trace|debug|verbose|silly|http|info|information|notice|warn|warning|success"
    "|trc|dbg|vrb|inf|wrn"
)
# Words that are a level wherever a message begins with them; the others may begin a sentence.
_PLAIN = "trace|debug|verbose|silly|info|warn|warning"
ANY = f"{_SEVERE}|{_MILD}"
_SEVERE_WORDS = frozenset((*_SEVERE.split("|"), "e", "f"))
_KNOWN_WORDS = frozenset((*ANY.split("|"), "log", "e", "f", "w", "i", "d", "t", "v", "n"))
_PINO_ERROR = 50
_SYSLOG_ERROR = 3
_SYSLOG_WORST, _SYSLOG_MILDEST = 0, 7
_OTEL_ERROR = 17


class Verdict(NamedTuple):
    """How bad an entry is, and its message without stamp and level."""

    severe: bool | None
    """Whether its level is error or worse; None when it has no level."""
    message: str


_LEVEL = re.compile(
    rf"""
    ^[\s:|\[(<*-]*(?:[\w.:-]{{1,40}}\]\s+)?(?:
        (?P<lead>(?i:{_PLAIN})|ERR(?:OR)?|FATAL|LOG|PANIC|CRIT(?:ICAL)?)(?![\w/.-])
        | (?P<titled>(?i:{ANY}))(?=\]?:(?!//)|[\])>]|\ *[|\t]|\ -\ |\ \ )
        | (?P<letter>(?-i:[EWFIDTVN]))(?=[/\])|:]\S|\]|:\ |\ (?=\S))
    )
    | (?<![?&\w])(?:level|lvl|severity|levelname|log\.level|loglevel)["']?\s*[=:]\s*["']?
      (?P<key>(?i:{ANY}))\b
    | [\[(<](?:\w[\w.-]{{0,40}}:)?(?P<box>(?i:{ANY}))[\])>]
    | (?<![\w/.='"?&-])(?P<shout>{ANY.upper()})(?![\w/.'"-])
    | ,(?P<csv>DEBUG|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC)(?=,[0-9A-Z]{{5}},)
    | (?<!\w)(?P<postgres>LOG|DETAIL|HINT|STATEMENT|CONTEXT|QUERY)(?=:\ \ )
    """,
    re.VERBOSE,
)
_PROCESS = re.compile(r"^\s*\(\d+(?: on [^)\s]+)?\):")  # as pino-pretty writes it
_LEVEL_WITHIN = 200  # characters of a line in which its level stands

_END = r"(?=\s*(?:$|[,;})\]|&\\\\]|[\w.]+[=:]))"
_NOTHING = (
    r"(?:0+(?:\.0*)?%?(?![\w.])|(?:null|none|nil|undefined|false|no|n/a|ok)"
    + _END
    + r"|\[\s*\]|\{\s*\}"
    r"|\"\"|''|-(?!\w)|\\\"\\\")"
)
_ZERO = re.compile(
    rf"""
    [\w.-]*(?:errors?|err|failed|failures?|exceptions?|fatal|panic)(?:[_-]?(?:count|total|rate|s))?
    \\?["']?\s*[:=]\s*\\?(?:{_NOTHING}|["'](?:0|null|none|false|no|ok|)["'])
    | \b(?:errors?|exceptions?|failures?)[ ]0\b(?![.\d]) | \b(?:max|min|limit)[_-]?errors?\b
    | \b(?:no|0|zero|without(?:[ ]any)?|not[ ]an?|non[- ]?|free[ ]of|ignor\w+|recovered[ ]from)
      [ ](?:\w+[ ])?(?:errors?|exceptions?|failures?)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HARMLESS = re.compile(
    rf"""
    {_ZERO.pattern}
    # an address, a path, a file
    | https?://\S* | [?&][\w.-]+=[^\s&"']*
    | (?<![\w.])/[\w./%~@:*-]*(?:error|fatal|panic|exception)[\w./%~@:*?=&-]*
    | [\w./-]*(?:error|fatal|panic|exception)[\w-]*
      \.(?:[cm]?[jt]sx?|html?|png|svg|log|json|css|vue|py|md|txt|php)\b
    # a value that is compared
    | [=!<>]=?\s*(?:'\w*'|"\w*")
    # the name of what deals with errors
    | \b(?:errors?|exceptions?|panic)[ _-](?:rates?|budgets?|pages?|handl\w+|boundar\w+
      |catalog(?:ue)?s?|logs?|logger|logging|track\w+|report\w+|monitor\w+|middlewares?
      |codes?[ ]0|counts?|counters?|metrics?|templates?|free|classes
      |types?|listeners?|channels?|quotas?|thresholds?|recovery|correction|hooks?)\b
    | \b\w+[_-]errors?[_-](?:total|count|rate|handler|page|log)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Camel case distinguishes a name from a word, so these are looked for as they are written.
_CASED = re.compile(
    r"\b[a-z]+Errors?[A-Z]\w*|\b[A-Z]\w*Error[A-Z]\w*|\b[eE]rrors?[A-Z]\w*"
    r"|\b(?:on|handle|log|throw|format|is|get|set|create|catch|capture|report|with|to|show|clear"
    r"|skip|ignore|last|next)(?:[A-Z]\w*)?Errors?\b(?!:)"
)
_SAYS = re.compile(
    r"""
    error | exception\b | \bERR[_!] | \bfatal\b | \bpanic(?:ked)?\b | \buncaught | \bunhandled
    | \bE(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|PIPE|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH
      |ADDRINUSE|ACCES|NOSPC|MFILE|NOMEM|ROFS)\b
    | segmentation[ ]fault | core[ ]dumped | out[ ]of[ ]memory | traceback[ ]\(most
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LOGFMT_VALUE = r'=(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))'
_LOGFMT_MESSAGE = re.compile(rf"(?<![\w.])(?:msg|message){_LOGFMT_VALUE}")
_LOGFMT_ERROR = re.compile(rf"(?<![\w.])(?:err|error|cause|exception){_LOGFMT_VALUE}")


def level_of(text: str) -> Verdict:
    """Return whether the level in `text` is error or worse, and the message without it.

    None when there is no level.
    """
    match = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    while match and match["titled"] and _is_none(text, match):
        match = _LEVEL.search(text, match.end(), _LEVEL_WITHIN)
    if match is None:
        return Verdict(None, text.strip(" \t\r\n:"))
    word = match[match.lastgroup or 0].lower()
    if logfmt := _LOGFMT_MESSAGE.search(text):
        message = logfmt[1] or logfmt[2] or ""
        if cause := _LOGFMT_ERROR.search(text):
            message = joined(message, cause[1] or cause[2] or "")
    else:
        message = _PROCESS.sub("", text[match.end() :])
    return Verdict(word in _SEVERE_WORDS, message.lstrip(" \t:|])>-").rstrip())


def _is_none(text: str, match: re.Match[str]) -> bool:
    """Return whether a level only begins words such as "error: none"."""
    return not match["titled"].isupper() and bool(_ZERO.match(text, match.start("titled")))


def says_error(text: str) -> bool:
    """Return whether the words of `text`, which has no level, speak of an error.

    Counts of nothing, addresses, paths and names such as ErrorBoundary do not.
    """
    return bool(_SAYS.search(text) and _SAYS.search(_HARMLESS.sub(" ", _CASED.sub(" ", text))))


def severe_number(level: int, *, is_syslog: bool = False) -> bool:
    """Return whether a number means error or worse: syslog's fall, pino's and bunyan's grow."""
    if is_syslog or _SYSLOG_WORST <= level <= _SYSLOG_MILDEST:
        return level <= _SYSLOG_ERROR
    return level >= _PINO_ERROR


# Winston's colours, and what slog adds to a level.
_DECORATION = re.compile(r"\x1b\[[\d;]*m|[+-]\d+\s*$")


def is_word(level: Any) -> bool:
    """Return whether a level in a field is one in words, which all loggers mean alike."""
    return _DECORATION.sub("", str(level)).strip().lower() in _KNOWN_WORDS


def severe_field(level: Any, *, is_syslog: bool = False) -> bool | None:
    """Return whether the level in a field is error or worse; None when it is none."""
    word = _DECORATION.sub("", str(level)).strip().lower()
    if word in _KNOWN_WORDS:
        return word in _SEVERE_WORDS
    return severe_number(int(word), is_syslog=is_syslog) if re.fullmatch(r"\d{1,6}", word) else None


def severe_opentelemetry(number: Any) -> bool | None:
    """Return whether OpenTelemetry's severity number is error or worse."""
    return number >= _OTEL_ERROR if isinstance(number, int) and number > 0 else None


def joined(message: str, cause: str) -> str:
    """Return a message and why: once, when one of them says both."""
    if not cause or cause in message:
        return message
    if not message or message in cause:
        return cause
    return f"{message.rstrip(' :')}: {cause}"
