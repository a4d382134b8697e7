"""The texts of a notebook as HTML: Markdown, code, and what was printed.

Records of one runbook have the same texts, so each is converted once.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING

from opsnb.site.safe_html import safe

if TYPE_CHECKING:
    from mistune import Markdown

LONGEST = 20_000
"""Characters of one text that a page shows; of a longer one, its two ends."""
_NOTEBOOK_LINK = re.compile(r'href="(?P<path>(?![a-z]+:)[\w./-]+)\.ipynb(?P<rest>#[^"]*)?"')
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@lru_cache(maxsize=4096)
def markdown(text: str) -> str:
    """Return Markdown as HTML that is safe to show, its headings one level lower."""
    return safe(str(_markdown()(text)))


@lru_cache(maxsize=4096)
def code(source: str) -> str:
    """Return Python source as highlighted HTML."""
    if len(source) > LONGEST:
        return f"<pre><code>{escape(shortened(source))}</code></pre>"
    from pygments import highlight  # noqa: PLC0415 - late: an unchanged record needs none
    from pygments.formatters.html import HtmlFormatter  # noqa: PLC0415
    from pygments.lexers.python import PythonLexer  # noqa: PLC0415

    html = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return f"<pre><code>{html.rstrip()}</code></pre>"


def printed(text: str, kind: str = "") -> str:
    """Return printed text as HTML, without the colours of a terminal."""
    plain = escape(shortened(_ESCAPES.sub("", text.rstrip())), quote=False)
    return f'<pre class="{kind}">{plain}</pre>' if kind else f"<pre>{plain}</pre>"


def shortened(text: str) -> str:
    """Return `text`, or its two ends with how much was left out."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    left_out = len(text) - 2 * half
    return (
        f"{text[:half]}\n[... {left_out:,} characters are in the record only ...]\n{text[-half:]}"
    )


def linked(html: str, runbook: str, pages: Collection[str]) -> str:
    """Return `html` with its links to other notebooks led to their pages, seen from a record's.

    `runbook` is the one that the HTML comes from, `pages` are those that have a page.
    """
    section = posixpath.dirname(runbook)

    def page_of(match: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(section, match["path"]))
        if wanted not in pages:
            return ""
        # Behind `#` stand the parameters for JupyterLab, or a heading.
        rest = match["rest"] if match["rest"] and "=" not in match["rest"] else ""
        return f'href="../runbooks/{wanted}.html{rest or ""}"'

    return _NOTEBOOK_LINK.sub(page_of, html)


@cache
def _markdown() -> Markdown:
    from mistune import HTMLRenderer, create_markdown  # noqa: PLC0415 - late, as above

    class Renderer(HTMLRenderer):
        def heading(self, text: str, level: int, **attributes: object) -> str:
            return super().heading(text, min(level + 1, 6), **attributes)

    return create_markdown(
        escape=False, renderer=Renderer(), plugins=["table", "strikethrough", "url"]
    )
