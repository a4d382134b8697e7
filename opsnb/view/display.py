"""Output of a session: in the notebook, or at a terminal where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from opsnb.model import (
    ACTION_MIME,
    TABLE_MIME,
    TARGET_KEY,
    ActionRecord,
    Finding,
    Row,
    Table,
    worst,
)
from opsnb.redaction import Redactor
from opsnb.view import charts
from opsnb.view import findings as view
from opsnb.view.plans import action_html, action_text
from opsnb.view.tables import MOST_ROWS, rows_html, rows_text
from opsnb.view.terminal import visible


class Display:
    """Shows the output of a session on one target, without secrets."""

    def __init__(self, target: str, redactor: Redactor) -> None:
        self.redactor = redactor
        self._target = target
        self._actions: set[str] = set()  # already shown in the notebook

    def show(
        self, data: dict[str, Any], metadata: dict[str, Any] | None = None, **how: Any
    ) -> None:
        """Emit `data` into the notebook, or print its plain form without a notebook."""
        self._emit(self.redactor.bundle(data), metadata, **how)

    def _emit(
        self, safe: dict[str, Any], metadata: dict[str, Any] | None = None, **how: Any
    ) -> None:
        """Emit what holds no secret any more."""
        if get_ipython() is None:
            print(visible(safe["text/plain"]))  # noqa: T201 - a plain script has no other output
        else:
            of = {TARGET_KEY: self._target, **(metadata or {})}
            publish_display_data(safe, metadata=of, **how)  # type: ignore[no-untyped-call]

    def text(self, text: str, metadata: dict[str, Any] | None = None) -> None:
        """Show a line of text."""
        html = f'<div style="opacity:.75">{escape(text)}</div>'
        self.show({"text/html": html, "text/plain": text}, metadata)

    def heading(self, words: str) -> None:
        """Show a small heading above what follows."""
        self.show({"text/html": view.heading_html(words), "text/plain": words})

    def headline(self, findings: Sequence[Finding], words: str) -> None:
        """Show the worst status of `findings`, and `words` after it."""
        status = worst(finding.status for finding in findings)
        text = f"{self._target}: {status.upper()} {words}"
        self.show({"text/html": view.headline_html(status, words), "text/plain": text})

    def findings(self, findings: Sequence[Finding], words: str) -> None:
        """Show `words` as the headline, then the findings, the worst on top, then their values."""
        safe = self._safe(findings)
        self.headline(safe, words)
        for finding in view.worst_first(safe):
            self._emit(view.finding_data(finding))
        html, text = view.findings_table_html(safe), view.findings_table_text(safe)
        self._emit({"text/html": html, "text/plain": text})

    def finding(self, finding: Finding, rank: int | None = None) -> None:
        """Show a finding; `rank` is its place among the causes."""
        (safe,) = self._safe([finding])
        self._emit(view.finding_data(safe, rank))

    def set_aside(self, findings: Sequence[Finding]) -> None:
        """Show causes that are ruled out, or that could not be measured."""
        self._emit(view.set_aside_data(self._safe(findings)))

    def rows(self, title: str, rows: list[Row]) -> None:
        """Show rows under a title."""
        table = Table(title=title, rows=rows[:MOST_ROWS], total=len(rows))
        self.show(
            {
                TABLE_MIME: table.model_dump(mode="json"),
                "text/html": view.titled_html(title, rows_html(rows)),
                "text/plain": f"{title}\n{rows_text(rows)}",
            }
        )

    def action(self, record: ActionRecord) -> None:
        """Show the journal of an action, in place of its earlier state."""
        self.show(
            {
                ACTION_MIME: record.model_dump(mode="json"),
                "text/html": action_html(record),
                "text/plain": action_text(record),
            },
            transient={"display_id": record.id},
            update=record.id in self._actions,
        )
        self._actions.add(record.id)

    def charts(self, drawn: Sequence[charts.Chart], **how: Any) -> None:
        """Show charts side by side."""
        data = {"text/html": charts.grid_html(drawn), "text/plain": charts.grid_text(drawn)}
        self.show(data, **how)

    def _safe(self, findings: Sequence[Finding]) -> list[Finding]:
        # Redacted before they are drawn: in HTML the shapes of secrets are harder to see. What is
        # recorded is searched as a whole once more.
        return [self.redactor.result(finding) for finding in findings]
