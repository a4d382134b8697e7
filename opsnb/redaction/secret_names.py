"""Which names call their value a secret: `password`, `api_key`, `STRIPE_TOKEN`."""

from __future__ import annotations

import re

HINTS = ("pass", "psk", "pwd", "pw", "secret", "token", "key", "auth", "credential", "jwt", "salt")
"""A name without any of these names no secret; the words of the others decide."""
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
"""The words of a name: of `apiKey2`, `api`, `Key` and `2`."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PASSWORDS = _words(
    """
    masterauth pass passcode passphrase passwd password passwort psk pw pwd requirepass
    userpassword
    """
)
_TOKENS = _words(
    """
    accesskey accesstoken accountkey apikey apitoken authkey authtoken clientsecret jwt
    privatekey secret secretkey sharedaccesskey token
    """
)
_LOOSE = {"auth", "authorization", "credential", "credentials"}
# What a key is for, where it is a secret: `api_key`, but not `primary_key`.
_OF_KEYS = _words(
    """
    access account admin aes anthropic api app application auth client cookie crypt datadog
    deploy encryption functions github google hmac instrumentation integration jwt license
    mailgun maps master openai private routing secret sendgrid sentry service shared signing
    ssh storage stripe subscription twilio webhook
    """
)
# What may follow the word that names the secret: `password_hash`, `token_prod`.
_ENDINGS = _words(
    """
    1 2 3 again b64 base base64 confirm confirmation current default dev encrypted hash live
    main master new old plain previous primary prod production raw secondary staging string
    test text value
    """
)
# Tokens that mark a place in a list or a text: `next_token`.
_HARMLESS_TOKENS = _words(
    """
    bos cancel cancellation continuation cursor delta device end eos expected fencing
    illegal lock max min next num pad page per resume shard skip start stop stream sync
    total unexpected
    """
)


def kind_of(name: str) -> str | None:
    """Return the kind of secret that `name` stands for: password, token, loose or None."""
    words = [word.lower() for word in WORDS.findall(name)]
    while len(words) > 1 and words[-1] in _ENDINGS:
        words.pop()
    before, last = ["", "", *words][-2:]
    if last in _PASSWORDS or last.endswith(("password", "passwd", "passphrase")):
        return "password"
    if last in ("token", "tokens") and before in _HARMLESS_TOKENS:
        return None
    is_key = last == "key" and before in _OF_KEYS
    if is_key or last in _TOKENS or last.endswith(("token", "secret", "apikey")):
        return "token"
    is_session = last == "id" and before in ("session", "sess")
    return "loose" if is_session or last in _LOOSE else None
