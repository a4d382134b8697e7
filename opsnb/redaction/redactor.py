"""Masks secrets in text, and in what notebooks and results are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from opsnb.redaction.known import forms
from opsnb.redaction.mask import MASK
from opsnb.redaction.names import SECRET_KEY
from opsnb.redaction.shapes import mask_shapes

_SHORTEST = 6  # a shorter value would blot out ordinary words

# The words of which notebooks and results are built. A secret that is (in) one of them cannot be
# masked: every record would be unreadable, and the holes would tell what was there.
_WORDS_OF_RECORDS = f"""{MASK}
application text/plain text/html image/png language python markdown metadata outputs source
stdout stderr stream display_data execute_result output_type cell_type execution_count nbformat
nbformat_minor kernelspec display_name parameters runbook runbook_sha256 run_id target operator
trigger manual interactive incident scheduled parent status unknown skipped exit_code findings
actions started finished seconds opsnb_version commit threshold metric lower_is_worse inclusive
message caused_by
"""

_BINARY_MIMES = ("image/png", "image/jpeg", "application/pdf")


class Redactor:
    """Masks known secrets, in their encoded forms too, and well-known secret shapes."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the known secrets. One of fewer than six characters is left to the shapes."""
        worth = {secret for secret in map(str.strip, secrets) if _worth_masking(secret)}
        # The longest first, so that a secret inside another leaves no remainder of it.
        known = [form for secret in sorted(worth, key=len, reverse=True) for form in forms(secret)]
        self._known = re.compile("|".join(dict.fromkeys(known))) if known else None
        # A notebook is masked again after each of its cells, and most of it is as it was.
        self._masked = lru_cache(maxsize=16_384)(self._mask)

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        return self._masked(text)

    def _mask(self, text: str) -> str:
        return mask_shapes(self._without_known(text))

    def tree(self, value: Any) -> Any:
        """Return `value` (JSON: dicts, lists, strings, numbers) with every string masked.

        What stands under a telling key (`{"password": ...}`) is masked whatever it looks like,
        and lists of lines, as notebooks keep text, are masked as one text, so that a secret that
        spans lines is found.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, dict):
            return {self.text(key): self._entry(key, item) for key, item in value.items()}
        return value

    def _list(self, items: list[Any]) -> list[Any]:
        if _is_lines(items):
            return self.text("".join(items)).splitlines(keepends=True)
        return [self.tree(item) for item in items]

    def _entry(self, key: str, item: Any) -> Any:
        if key in _BINARY_MIMES and isinstance(item, str):
            # The shapes have no meaning there, and would spoil a picture by chance.
            return self._without_known(item)
        if key == "traceback" and isinstance(item, list):
            return self.text("\n".join(map(str, item))).split("\n")
        if SECRET_KEY.search(key) and item and not isinstance(item, bool):
            return MASK
        return self.tree(item)

    def _without_known(self, text: str) -> str:
        return self._known.sub(MASK, text) if self._known else text


def _worth_masking(secret: str) -> bool:
    return len(secret) >= _SHORTEST and secret not in _WORDS_OF_RECORDS


def _is_lines(items: list[Any]) -> bool:
    """Tell whether `items` is a text, as notebooks keep it: lines, each but the last ended."""
    return (
        len(items) > 1
        and all(isinstance(item, str) for item in items)
        and all(item.endswith("\n") for item in items[:-1])
    )
