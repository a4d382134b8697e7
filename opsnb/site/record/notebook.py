"""An executed notebook as the blocks of a page, without nbconvert, whose time goes into parsing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsnb.site.record import prose
from opsnb.site.record.outputs import Outputs, joined

_FORMAT = 4
_KINDS = frozenset({"markdown", "code", "raw"})
_TITLE = re.compile(r"\A\s*# .*\n?")


class Unreadable(Exception):
    """The notebook cannot be shown; the message is a sentence that says why."""


@dataclass
class Block:
    """One cell, in HTML: its text, or its code and what that showed."""

    text: str = ""
    code: str = ""
    outputs: list[str] = field(default_factory=list)
    is_preface: bool = False
    """Whether it stands before the code, and in the runbook's own page too."""


def blocks(
    notebook: Mapping[str, Any], runbook: str, pages: Collection[str]
) -> tuple[list[Block], int]:
    """Return the cells to show, and how many outputs the page has no room for.

    `pages` are the runbooks that have a page. Raises Unreadable.
    """
    version = notebook.get("nbformat")
    if version != _FORMAT:
        raise Unreadable(
            f"It has the notebook format {version!r}; this version of opsnb reads {_FORMAT}."
        )
    outputs = Outputs()
    try:
        cells = list(_blocks(notebook["cells"], outputs))
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"It is damaged: {type(error).__name__}: {error}.") from error
    for block in cells:
        block.text = prose.linked(block.text, runbook, pages)
        block.outputs = [prose.linked(html, runbook, pages) for html in block.outputs]
    return cells, outputs.left_out


def _blocks(cells: Sequence[Mapping[str, Any]], outputs: Outputs) -> Iterator[Block]:
    for cell in cells:
        if cell["cell_type"] not in _KINDS:
            kind = str(cell["cell_type"])[:40]
            raise Unreadable(f"It has a cell of an unknown type, {kind!r}.")
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    preface = "\n\n".join(joined(cell["source"]) for cell in cells[:first])
    preface = _TITLE.sub("", preface)  # the page has its own title
    if preface.strip():
        yield Block(text=prose.markdown(preface), is_preface=True)
    for cell in cells[first:]:
        kind, source = cell["cell_type"], joined(cell["source"])
        if kind == "markdown":
            yield Block(text=prose.markdown(source))
        elif kind == "code":
            tags = cell.get("metadata", {}).get("tags") or []
            is_given = "parameters" in tags or "injected-parameters" in tags
            code = "" if is_given or not source.strip() else prose.code(source)
            shown = list(outputs.html(cell.get("outputs", [])))
            if code or shown:
                yield Block(code=code, outputs=shown)
        else:
            yield Block(code=prose.printed(source))
