"""Clean text from outside before it is cut, grouped or quoted.

A secret is only found while it is whole. Text that comes from outside (a reason, a line of a log,
a statement, an answer, what a program printed) is therefore cleaned before it is changed in any
way, and every function that shortens text or takes its numbers away is here and cleans first. A
plugin of mypy (`tests/mypy_cuts.py`) refuses such a cut anywhere else.

What opsnb acts by, such as a queue's name or a job's id, stays as it is: only what is made of it
to be shown goes through here.

The secrets are those of the target that a check, a plan or a session is about, and those in the
environment.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from opsnb.redaction import MASK, Redactor, environment_secrets
from opsnb.redaction.readings import readings
from opsnb.redaction.spelled import spelled

_SHORTEST = 6  # characters of a secret that reveal something
_MARGIN = 4096
"""How much is read beyond a cut, so that a secret across it is seen whole."""
_LONGEST_PATTERN = 300
_MOST_PATTERNS = 50_000

_IDS = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?:0x)?(?=[a-f]*\d)[0-9a-f]{8,}"
_NUMBERS = r"\d+(?:[.:]\d+)*"
_VARYING = re.compile(rf"\b(?:{_IDS})\b|{_NUMBERS}", re.IGNORECASE)
# A word of digits becomes `#`, secret or not, so that messages that differ only there are cleaned
# once.
_ALONE = re.compile(
    rf"(?<![^\s(\[,=:\"'/])(?:{_IDS}|{_NUMBERS})(?![^\s)\],.\"':;/?&])", re.IGNORECASE
)

# The start of a secret at the end of a cut text: a password in a URL before its @, a key without
# its end, the value after a secret's name.
_OPEN = re.compile(
    r"""
    (?: (?<=://) [^\s/@]* : [^\s@/]{0,200}
    | \b(?:gh[pousr]_|github_pat_|glpat-|npm_|AKIA|ASIA|AIza|xox[a-z]-|[sr]k_\w{4}_|sk-|SG\.|eyJ)
      [^\s"']*
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[^-]*
    | (?<=PRIVATE[ ]KEY-----)[^-]*
    | (?i:(?<=password)|(?<=passwd)|(?<=secret)|(?<=token)|(?<=api_key)|(?<=apikey)
      |(?<=bearer)|(?<=basic)) [=:\s\\]{1,8} (?:["'][^"']{1,512} | (?!\$\d)[^\s"']+)
    )$
    """,
    re.VERBOSE,
)


_LONGEST_ESCAPE = 10
"""The most characters for one character of a secret in escaped text."""
_CUT_ESCAPE = re.compile(
    r"(?:\\+(?:\+?[0-9a-fA-F]{0,5}|[xuU][0-9a-fA-F]{0,7})|%[0-9a-fA-F]?|&#?[xX]?\w{0,6})$"
)


class _Cleaner:
    """Cleans text of one set of secrets."""

    def __init__(self, secrets: frozenset[str]) -> None:
        self.text = Redactor(secrets).text
        forms = {form for secret in secrets if len(secret) > _SHORTEST for form in _forms(secret)}
        self._longest = max(map(len, forms), default=0)
        self._begins: dict[str, list[str]] = defaultdict(list)
        self._ends: dict[str, list[str]] = defaultdict(list)
        for form in forms:
            self._begins[form[:_SHORTEST]].append(form)
            self._ends[form[-_SHORTEST:]].append(form)
        self.margin = max(_MARGIN, 2 * self._longest)
        self.pattern = lru_cache(maxsize=_MOST_PATTERNS)(self._pattern)
        self._patterns: dict[str, str] = {}

    def opened(self, text: str, *, start: bool, end: bool) -> str:
        """Return cut text without the rest of a secret at its start or end."""
        text = self.text(text.strip("\ufffd"))
        if end:
            text = _OPEN.sub(MASK, self.shut(text))
        return self._headed(text) if start else text

    def shut(self, text: str) -> str:
        """Return `text` without the start of a known secret at its end, in any encoding."""
        begun = self._begun(text)
        if begun is not None:
            return text[:begun] + MASK
        offset = max(0, len(text) - _LONGEST_ESCAPE * self._longest)
        whole = _CUT_ESCAPE.sub("", text[offset:])
        for reading in (*readings(whole), *spelled(whole)) if self._longest else ():
            bare = reading.text.rstrip("\n")
            # The last of bytes that are written one by one may be cut itself.
            for read in (bare, bare[:-2]):
                begun = self._begun(read)
                if begun is not None:
                    return text[: offset + reading.span(begun, begun + 1)[0]] + MASK
        return text

    def _begun(self, text: str) -> int | None:
        """Return where the start of a known secret at the end of `text` begins."""
        for at in range(max(0, len(text) - self._longest), len(text) - _SHORTEST + 1):
            rest = text[at:]
            forms = self._begins.get(rest[:_SHORTEST], ())
            if any(form.startswith(rest) and form != rest for form in forms):
                return at
        return None

    def _headed(self, text: str) -> str:
        for at in range(min(len(text), self._longest), _SHORTEST - 1, -1):
            head = text[:at]
            if any(form.endswith(head) for form in self._ends.get(head[-_SHORTEST:], ())):
                return MASK + text[at:]
        return text

    def _pattern(self, message: str) -> str:
        alone = _ALONE.sub("#", message[: _LONGEST_PATTERN + self.margin])
        if alone not in self._patterns:
            if len(self._patterns) >= _MOST_PATTERNS:
                self._patterns.clear()
            clean = self.head(message, _LONGEST_PATTERN)
            self._patterns[alone] = _VARYING.sub("#", clean)
        return self._patterns[alone]

    def head(self, text: str, most: int) -> str:
        """Return the first `most` characters of `text`, cleaned."""
        return self.whole(text, most)[:most]

    def whole(self, text: str, most: int) -> str:
        """Return `text` cleaned; of a long one, enough to show its first `most` characters."""
        bound = most + self.margin
        if len(text) <= bound:
            return self.text(text)
        return self.opened(text[:bound], start=False, end=True)

    def end(self, text: str, most: int) -> str:
        """Return `text` cleaned; of a long one, enough to show its last characters."""
        bound = most + self.margin
        if len(text) <= bound:
            return self.text(text)
        return self.opened(text[-bound:], start=True, end=False)


def _forms(secret: str) -> set[str]:
    """Return the forms of a secret in which a text may be cut."""
    plain = secret.encode()
    shifted = (base64.b64encode(b"\0" * pad + plain).decode().rstrip("=") for pad in range(3))
    # The first and last characters of base64 depend on the neighbours.
    inner = {text[2 + pad : -1] for pad, text in enumerate(shifted)}
    written = {
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        secret.replace("'", "''"),
        secret.replace('"', '""'),
        plain.hex(),
        plain.hex().upper(),
    }
    return {form for form in written | inner if len(form) > _SHORTEST}


_cleaner = lru_cache(maxsize=8)(_Cleaner)
_within: ContextVar[_Cleaner | None] = ContextVar("cleaner", default=None)


class _Session:
    """The secrets of this process, outside of `about`."""

    secrets: frozenset[str] = frozenset()


def session(secrets: Iterable[str]) -> None:
    """Use `secrets` in this process from now on."""
    _Session.secrets = frozenset(secrets)


@contextmanager
def reading(secrets: Iterable[str]) -> Iterator[None]:
    """Clean text that is read in this block of `secrets` and those of the environment.

    Threads that are started within clean alike when they run in a copy of the context.
    """
    token = _within.set(_cleaner(frozenset(secrets) | environment_secrets()))
    try:
        yield
    finally:
        _within.reset(token)


def _now() -> _Cleaner:
    return _within.get() or _cleaner(_Session.secrets | environment_secrets())


def text(raw: str) -> str:
    """Return `raw` without the secrets in it."""
    return _now().text(raw)


def opened(raw: str, *, start: bool = False, end: bool = True) -> str:
    """Return text cleaned that was cut at its `start` or `end` when it was read.

    What is left there of a secret, six characters or more, is masked as well.
    """
    return _now().opened(raw, start=start, end=end)


def shortened(raw: str, most: int, mark: str = "...") -> str:
    """Return `raw` cleaned; if longer than `most`, cut with a `mark` at its end."""
    clean = _now().whole(raw, most)
    return clean if len(clean) <= most else clean[: most - len(mark)] + mark


def head(raw: str, most: int) -> str:
    """Return the first `most` characters of `raw`, cleaned."""
    return _now().head(raw, most)


def tail(raw: str, most: int) -> str:
    """Return the last `most` characters of `raw`, cleaned."""
    return _now().end(raw, most)[-most:]


def ended(name: str) -> str:
    """Return a name that was cut at its end, without the rest of a secret there.

    A secret that is whole stays, so that the name still is what it names.
    """
    return _now().shut(name)


def first_line(raw: str, most: int = 160) -> str:
    """Return the first line of `raw` cleaned, cut to `most` characters."""
    return shortened(_now().whole(raw.strip(), most).partition("\n")[0], most)


def last_line(raw: str, most: int) -> str:
    """Return the first `most` characters of the last line of `raw`, cleaned, without colours."""
    lines = _now().end(_ANSI.sub("", raw).strip(), most).splitlines()
    return head(lines[-1].strip(), most) if lines else ""


_ANSI = re.compile(r"\x1b\[[\d;]*m")


def one_line(raw: str, most: int, mark: str = "...") -> str:
    """Return the beginning of `raw` cleaned, on one line of at most `most` characters."""
    return shortened(" ".join(_now().whole(raw, most).split()), most, mark)


def pattern(message: str) -> str:
    """Return `message` with numbers, ids and addresses as `#`, so that similar ones are equal.

    A secret in it is masked first, so that none of its letters is left.
    """
    return _now().pattern(message)


def values(tree: Any) -> Any:
    """Return `tree` (JSON: dicts, lists, strings, numbers) with every string in it cleaned."""
    if isinstance(tree, str):
        return text(tree)
    if isinstance(tree, list):
        return [values(item) for item in tree]
    if isinstance(tree, dict):
        return {values(key): values(item) for key, item in tree.items()}
    return tree
