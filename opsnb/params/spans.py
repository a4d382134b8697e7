"""Time spans as people type them: `90s`, `30m`, `1h30m` or `2d`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])\s*")
_SPAN = re.compile(f"(?:{_PART.pattern})+")
_LARGE = 1000  # from here on, a larger unit is easier to read


@dataclass(frozen=True)
class Span:
    """Converts typed text to a number of `unit`. It annotates the type of a parameter."""

    unit: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of `source`, given the number that is meant."""
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def _read(self, value: Any) -> Any:
        seconds = span_s(value) if isinstance(value, str) else None
        return value if seconds is None else seconds / _UNITS_S[self.unit]

    def typed(self, value: Any) -> Any:
        """Return a number of this unit as it is typed: `24`, or `1s` for a sixtieth of a minute."""
        if not isinstance(value, float):
            return value
        return int(value) if value.is_integer() and value < _LARGE else spelled(value, self.unit)


def span_s(text: str) -> float | None:
    """Return the seconds of the span `text`; None for any other text."""
    if not _SPAN.fullmatch(text.strip()):
        return None
    return sum(float(count) * _UNITS_S[unit] for count, unit in _PART.findall(text))


def spelled(value: float, unit: str) -> str:
    """Return `value`, in `unit`, as a span is typed: `30m`; `90s` for one and a half minutes."""
    own = [unit] if value < _LARGE else []
    for larger in (*own, *reversed(_UNITS_S)):
        count = value * _UNITS_S[unit] / _UNITS_S[larger]
        if math.isclose(count, round(count), rel_tol=1e-9):
            return f"{count:.0f}{larger}"
    return f"{value:.12f}".rstrip("0") + unit
