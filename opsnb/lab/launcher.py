"""The start page of `opsnb lab`: the runbooks by symptom, by task and by section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from opsnb.catalog import RunbookInfo, by_section
from opsnb.errors import ConfigError

PAGE = "Start.md"
FIRST = "health/daily"
"""Where to start when nothing is known."""

_HEAD = """# Runbooks

Choose the target above, then a runbook. It opens as a new copy that only plans: run its cells one
by one, and change what you like. Running a cell starts a record, which each save updates.
"""
# A sentence that begins like this names a time or a task; any other names a symptom.
_OCCASION = re.compile(r"(After|Before|Once|Only|To|When|While)\b")
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def page(infos: Iterable[RunbookInfo]) -> str:
    """Return the page in Markdown, with links relative to the folder of the runbooks.

    Each runbook is described by the first sentence of its *When to use*.
    """
    infos = [info for _, group in by_section(infos) for info in group]
    uses = [(use, info) for info in infos if (use := _use(info))]
    seen = [entry for entry in uses if not _OCCASION.match(entry[0])]
    occasions = [entry for entry in uses if entry not in seen]
    return "\n".join(
        [
            _HEAD,
            *_begin(infos),
            *_table("What you see", seen),
            *_table("What you want to do", occasions),
            *_sections(infos),
        ]
    )


def _use(info: RunbookInfo) -> str:
    """Return the first sentence of when to use `info`, up to a colon."""
    try:
        text = _LINK.sub(r"\1", info.when_to_use)
    except ConfigError:
        return ""
    return re.split(r"(?<=[.!?])\s|[:;]\s", text, maxsplit=1)[0].rstrip(".")


def _begin(infos: Iterable[RunbookInfo]) -> Iterator[str]:
    for info in infos:
        if info.id == FIRST:
            yield f"Not sure? Start with the {_link(info, info.name.lower())}.\n"


def _table(title: str, uses: Sequence[tuple[str, RunbookInfo]]) -> Iterator[str]:
    if uses:
        yield f"## {title}\n\n| | |\n| --- | --- |"
        yield from (f"| {use.replace('|', chr(92) + '|')} | {_link(info)} |" for use, info in uses)
        yield ""


def _sections(infos: Iterable[RunbookInfo]) -> Iterator[str]:
    yield "## All runbooks\n\n| | |\n| --- | --- |"
    for section, group in by_section(infos):
        yield f"| {section} | {', '.join(map(_link, group))} |"
    yield ""


def _link(info: RunbookInfo, words: str = "") -> str:
    try:
        acts = " (acts)" if info.acts else ""
    except ConfigError:
        acts = " (cannot be read)"
    return f"[{words or info.name}]({info.id}.ipynb){acts}"
