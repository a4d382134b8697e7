"""The file of variables that a scheduled run gets: secrets lie in it, not in a crontab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opsnb.errors import ConfigError

_READABLE_BY_OTHERS = 0o077


def read_environment(path: Path) -> Mapping[str, str]:
    """Return the variables of a file of NAME=value lines, which only its owner may read.

    Blank lines, comments, `export ` and quotes round a value are understood. Raises ConfigError.
    """
    try:
        if path.stat().st_mode & _READABLE_BY_OTHERS:
            raise ConfigError(f"{path} holds secrets and others may read it; chmod 600 it.")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Correct its name.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; write it as such.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            name, equals, value = line.removeprefix("export ").partition("=")
            if not (equals and name.strip().isidentifier()):
                raise ConfigError(f"{path}: line {number} is not NAME=value; correct it.")
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
