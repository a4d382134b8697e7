"""The outputs of a record's cells as slim HTML.

What opsnb shows itself is drawn again from its data, without inline styles; everything else is made
safe. Of a table, the first rows are shown, which come the worst first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from pydantic import ValidationError

from opsnb.model import ACTION_MIME, FINDING_MIME, FINDINGS_MIME, TABLE_MIME, Table
from opsnb.site.record import prose
from opsnb.site.record.pictures import embedded, small_drawings
from opsnb.site.safe_html import safe
from opsnb.site.templates import render
from opsnb.view.tables import table

LARGEST = 600_000
"""Characters of all outputs of a record's page."""
_HTML, _PLAIN, _MARKDOWN = "text/html", "text/plain", "text/markdown"
_OF_OPSNB = (FINDING_MIME, FINDINGS_MIME, ACTION_MIME)
# The styles of opsnb's own tables, in place of which the page has its own.
_STYLES = (
    ' style="padding:3px 12px 3px 0;border:0;border-bottom:1px solid rgba(128,128,128,.35);'
    'text-align:left"',
    ";text-align:right",
)


class Outputs:
    """Converts the outputs of one record, up to a size for all of them."""

    def __init__(self) -> None:
        self._room = LARGEST
        self.left_out = 0
        """How many outputs the page has no room for."""

    def html(self, outputs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Yield the outputs of a cell as HTML, but for findings and actions.

        These stand at the top of the page.
        """
        for output in outputs:
            if self._room <= 0:
                self.left_out += 1
            elif html := _html(output):
                self._room -= len(html)
                yield html


def _html(output: Mapping[str, Any]) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        return prose.printed(joined(output.get("text", "")))
    if kind == "error":
        trace = "\n".join(map(str, output.get("traceback") or [output.get("evalue", "")]))
        return prose.printed(trace, "error")
    data = output.get("data")
    return _of_data(data) if isinstance(data, dict) else ""


def _of_data(data: Mapping[str, Any]) -> str:
    """Return the best form of an output."""
    if any(mime in data for mime in _OF_OPSNB):
        return ""
    if TABLE_MIME in data and (shown := _table(data[TABLE_MIME])):
        return shown
    plain = joined(data.get(_PLAIN, ""))
    for mime, converted in _FORMS.items():
        if mime in data:
            return converted(mime, joined(data[mime]), plain)
    return prose.printed(plain) if plain.strip() else ""


def _table(content: Any) -> str:
    try:
        shown = Table.model_validate(content)
    except ValidationError:
        return ""
    return render("table", title=shown.title, table=table(shown.rows, shown.total))


def _picture(mime: str, data: str, words: str) -> str:
    address = embedded(mime, data)
    if not address:
        return prose.printed(f"[A picture is too large for this page, or damaged.]\n{words}")
    return str(Markup('<img alt="{}" src="{}">').format(words or "a picture", address))


def _drawing(_: str, svg: str, __: str) -> str:
    return safe(small_drawings(svg))


def _slim(_: str, html: str, __: str) -> str:
    html = safe(small_drawings(html))
    for style in _STYLES:
        html = html.replace(style, "")
    return f'<div class="scroll" tabindex="0">{html}</div>' if "<table" in html else html


def _markdown(_: str, text: str, __: str) -> str:
    return prose.markdown(text)


_FORMS: dict[str, Callable[[str, str, str], str]] = {
    **dict.fromkeys(("image/png", "image/jpeg", "image/gif", "image/webp"), _picture),
    "image/svg+xml": _drawing,
    _HTML: _slim,
    _MARKDOWN: _markdown,
}
"""How each form of an output is converted, the best first: MIME type, content, plain text."""


def joined(text: Any) -> str:
    """Return text that a notebook may store as a list of lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
