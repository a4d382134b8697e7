"""Distinguish credentials from the words of a sentence."""

from __future__ import annotations

PROSE = frozenset({
    "token", "tokens", "header", "headers", "bearer", "basic", "digest", "required", "missing",
    "invalid", "expired", "failed", "failure", "error", "none", "null", "undefined", "denied",
    "authentication", "authorization", "credentials", "scheme", "expected", "provided",
    "unknown", "disabled", "enabled", "success", "successful", "granted", "refused", "rejected",
    "check", "checks", "service", "server", "request", "requests", "code", "must", "should",
    "will", "cannot", "based", "policy", "rules", "level", "type", "name", "value", "string",
})  # fmt: skip
"""Words after `Authorization:` and similar names in messages about them."""
_FEWEST_WORD = 12  # letters; in a longer word, capitals inside mean that it is not a name


def is_word(value: str) -> bool:
    """Whether it is a word of a sentence, or a placeholder."""
    return (
        len(value) < _FEWEST
        or value.lower() in PROSE
        or value[0] in "<$*{[%"
        or set(value) <= set("xX.*-")
    )


def is_credential(value: str, *, shortest: int = 8) -> bool:
    """Whether a word has digits or capitals unlike a word of a sentence."""
    bare = value.rstrip(".=")
    if len(bare) < shortest or bare.lower() in PROSE:
        return False
    if any(character.isdigit() for character in bare):
        return True
    return len(bare) >= max(shortest, _FEWEST_WORD) and is_mixed(bare)


def is_mixed(value: str) -> bool:
    """Whether it has digits, or capitals inside of a word."""
    letters = [character for character in value if character.isalpha()]
    has_digits = any(character.isdigit() for character in value)
    word = "".join(letters)
    return has_digits or not (word.islower() or word.isupper() or word.istitle() or not word)


_FEWEST = 4
