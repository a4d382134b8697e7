"""Secrets in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from opsnb.redaction.settings import named_secrets, value_secrets

_SECRET_VARIABLE = re.compile(
    r"PASSW|PASSPHRASE|PASS_?\d?$|PWD$|_PW$|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY"
    r"|PRIVATE_?KEY|_KEY(?:_B(?:ASE)?64)?$|_AUTH$|_DSN$|JWT$|_SALT$|_PSK$|_BEARER$",
    re.IGNORECASE,
)
# Variables about a secret (where it is, how long it lives) rather than the secret itself.
_ABOUT_A_SECRET = re.compile(
    r"^(OLD)?PWD$|ASKPASS$|^(CACHE|SORT|PARTITION|PRIMARY|FOREIGN|GPG)_KEY$|PUBLIC_KEY$|_(FILE|PATH|DIR|SOCK|TTL|TYPE|HOST|PORT|USER|NAME)$",
    re.IGNORECASE,
)


def environment_secrets(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Return the secrets in `environ`: by the name of a variable, or by its value.

    A value may be a URL, a connection string of any database, a document in JSON.
    """
    secrets: set[str] = set()
    for name, value in environ.items():
        if _SECRET_VARIABLE.search(name) and not _ABOUT_A_SECRET.search(name):
            secrets |= named_secrets(value)
        else:
            secrets |= value_secrets(value)
    secrets.discard("")
    return secrets
