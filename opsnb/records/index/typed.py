"""What a row of the index holds, in Python's types."""

from __future__ import annotations

from functools import cache
from sqlite3 import Row
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def filled(kind: type[T], row: Row) -> T:
    """Return a dataclass whose fields are columns of `row`; other columns are left out."""
    hashable: Any = kind
    result: T = _adapter(hashable).validate_python(dict(row))
    return result


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
