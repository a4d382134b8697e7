"""Secrets that the environment holds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from opsnb.redaction.urls import url_secrets

_SECRET_VARIABLE = re.compile(
    r"PASSW|PASSPHRASE|PASS$|PWD$|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$"
    r"|_AUTH$|_DSN$",
    re.IGNORECASE,
)
# Variables about a secret (where it is, how long it lives) rather than the secret itself.
_ABOUT_A_SECRET = re.compile(
    r"^(OLD)?PWD$|_(FILE|PATH|DIR|SOCK|TTL|TYPE|HOST|PORT|USER|NAME)$", re.IGNORECASE
)


def environment_secrets(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Return the values in `environ` that are secret by their variable's name or by being URLs."""
    found: set[str] = set()
    for name, value in environ.items():
        if _SECRET_VARIABLE.search(name) and not _ABOUT_A_SECRET.search(name):
            found.add(value)
        if "://" in value:
            found |= url_secrets(value)
    return found
