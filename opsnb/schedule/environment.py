"""The file of variables for scheduled runs: secrets belong in it, not in a crontab."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from opsnb.errors import ConfigError

_READABLE_BY_OTHERS = 0o077


def read_environment(path: Path) -> Mapping[str, str]:
    """Return the variables of a .env file (NAME=value lines) that only its owner may read.

    Nothing is substituted in the values. Raises ConfigError.
    """
    try:
        if path.stat().st_mode & _READABLE_BY_OTHERS:
            raise ConfigError(f"{path} holds secrets and others may read it; chmod 600 it.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Correct its name.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    variables: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        is_blank = binding.key is None and not binding.error
        if is_blank:
            continue
        if binding.key is None or binding.value is None or not binding.key.isidentifier():
            shown = binding.original.string
            line = binding.original.line + len(shown) - len(shown.lstrip("\n"))
            raise ConfigError(f"{path}: line {line} is not NAME=value; correct it.")
        variables[binding.key] = binding.value
    return variables
