"""The names that say that what they name is secret."""

from __future__ import annotations

import re

SECRET_NAME = (
    r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|secret[_-]?key|authorization|PGPASSWORD|REDISCLI_AUTH)s?"
)
SECRET_KEY = re.compile(rf"{SECRET_NAME}$", re.IGNORECASE)
