"""Small pieces of HTML that several pages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from opsnb.model import Status


def pill(status: Status) -> str:
    """Return `status` as a coloured word."""
    return f'<span class="status status-{status}">{status}</span>'


def outcome_pill(status: Status, outcome: str) -> str:
    """Return how a run ended as a word in the colour of its status."""
    return f'<span class="status status-{status}">{escape(outcome)}</span>'


def moment(when: datetime) -> str:
    """Return `when` in UTC; the page's script puts its age behind it, as of when it is read."""
    utc = when.astimezone(UTC)
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}">{utc:%Y-%m-%d %H:%M} UTC</time>'


def link(url: str, words: str) -> str:
    """Return a link, `words` being plain text."""
    return f'<a href="{escape(url)}">{escape(words)}</a>'


def code(text: str) -> str:
    """Return `text` in the code font."""
    return f"<code>{escape(text)}</code>"


def notice(title: str, words: str, kind: str = "failure") -> str:
    """Return a box that stands out, in the theme's own style."""
    return (
        f'<div class="admonition {kind}"><p class="admonition-title">{escape(title)}</p>'
        f"<p>{escape(words)}</p></div>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of HTML cells; the theme lets it scroll inside itself."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
