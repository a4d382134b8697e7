"""Which files are rotated siblings of a log, by their names."""

from __future__ import annotations

import posixpath
import re

PACKED = (".gz", ".zst", ".xz", ".bz2")
"""Endings of files that can be unpacked."""
UNREADABLE = (".Z", ".lz4", ".lzma", ".zip", ".br", ".7z")
"""Endings of packed files that cannot."""
_DATE = r"\d{4}[-_]?\d\d[-_]?\d\d[\d_T:.-]*"
_PACKED = "(?:" + "|".join(map(re.escape, (*PACKED, *UNREADABLE))) + ")?"
_DATED = re.compile(_DATE + r"(?=\D|$)")


def siblings(name: str, names: list[str]) -> list[str]:
    """Return those of `names` that are rotated files of the log `name`, the newest first.

    For `app.log` these are such as `app.log.1`, `app.log.2.gz`, `app.log-20261123.zst`,
    `app-20261123.log` and `app__2026-11-23_00-00-00.log`; for `app-2026-11-23.log` those of other
    days. Of a file that is just being packed both are there: the plain one stands for both.
    """
    stem, suffix = posixpath.splitext(name)
    forms = [
        rf"{re.escape(name)}[._-](?P<after>{_DATE}|\d{{1,4}})",
        rf"{re.escape(stem)}(?:[._-]{{1,2}}(?P<date>{_DATE}?(?:\.\d+)?)|[._](?P<number>\d{{1,4}}))"
        rf"{re.escape(suffix)}",
    ]
    if dated := _DATED.search(stem):
        before, after = stem[: dated.start()], stem[dated.end() :] + suffix
        forms.append(rf"{re.escape(before)}(?P<other>{_DATE}?(?:\.\d+)?){re.escape(after)}")
    rotated = re.compile(rf"(?P<base>{'|'.join(forms)}){_PACKED}")
    found = [match for other in names if other != name and (match := rotated.fullmatch(other))]
    plain = {match[0] for match in found}
    kept = [match for match in found if match[0] == match["base"] or match["base"] not in plain]
    return [match[0] for match in sorted(kept, key=_age)]


def _age(match: re.Match[str]) -> tuple[int, int]:
    """Return the rank of a rotated file: numbers grow with age, dates shrink."""
    groups = match.groupdict()
    text = groups["after"] or groups["date"] or groups["number"] or groups.get("other") or ""
    digits = re.sub(r"\D", "", text)
    if len(digits) < 8:
        return 0, int(digits or 0)
    return 1, -int(digits[:14].ljust(14, "0"))  # type: ignore[cut]  # a date
