"""Secrets in the environment, and in the file of passwords that libpq reads with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

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
    secrets = set(_secrets(tuple(environ.items())))
    if environ is os.environ:
        secrets.update(_passwords_of_libpq())
    return secrets - {""}


@lru_cache(maxsize=4)  # each check asks, and the environment seldom changes
def _secrets(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    secrets: set[str] = set()
    for name, value in variables:
        if _SECRET_VARIABLE.search(name) and not _ABOUT_A_SECRET.search(name):
            secrets |= named_secrets(value)
        else:
            secrets |= value_secrets(value)
    return frozenset(secrets)


_PASSWORD = re.compile(
    r"(?!#)(?:(?:[^:\\\n]|\\.){0,256}:){4}(?P<password>(?:[^:\\\n]|\\.){1,1024})"
)


def _passwords_of_libpq() -> Iterator[str]:
    """Yield the passwords in ~/.pgpass, with which PostgreSQL's clients connect."""
    with suppress(OSError, RuntimeError, ValueError):  # no such file, or no home
        path = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := _PASSWORD.match(line):
                yield from (found["password"], re.sub(r"\\(.)", r"\1", found["password"]))
