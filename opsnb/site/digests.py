"""Digests: of inputs, and of opsnb's own code, so that what it makes follows its changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def code(*parts: str) -> str:
    """Return the digest of these parts of the package, such as `site`; by default of all of it."""
    roots = [_PACKAGE / part for part in parts] or [_PACKAGE]
    return digest(content for root in roots for content in contents(root))


def contents(root: Path) -> Iterator[bytes]:
    """Yield the name and content of each file at or below `root`, in a fixed order.

    Raises OSError when there is no `root`.
    """
    root.stat()
    for file in [root] if root.is_file() else sorted(root.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            yield str(file.relative_to(root.parent)).encode()
            yield file.read_bytes()


def digest(parts: Iterable[str | bytes]) -> str:
    """Return one digest of several texts or files."""
    made = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        made.update(b"%d:" % len(data))
        made.update(data)
    return made.hexdigest()[:32]
