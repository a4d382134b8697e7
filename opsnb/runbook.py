"""The session of a notebook: it hands the target to checks and shows what came out."""

from __future__ import annotations

import time
from typing import Any, ParamSpec

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from opsnb import charts, view
from opsnb.check import Check
from opsnb.measure import Findings, Measurement
from opsnb.model import FINDING_MIME, Finding, now, worst
from opsnb.redaction import Redactor, environment_secrets
from opsnb.target import Target, load_target

P = ParamSpec("P")


class Runbook:
    """A session on one target, named as in `opsnb.toml`. Raises UnknownTarget, ConfigError."""

    def __init__(self, target: str) -> None:
        self.target: Target = load_target(target)
        self._redactor = Redactor(self.target.secrets | environment_secrets())
        self._measurement = Measurement(self.target)
        places = [f"{name} {place}" for name, place in self.target.describe().items() if place]
        self._publish_text(f"Target {self.target.name}: {', '.join(places)}. {now():%F %H:%M} UTC.")

    def check(self, check: Check[P], *args: P.args, **kwargs: P.kwargs) -> Finding:
        """Run one check and show its finding."""
        *causes, finding = self._measurement.run([check.given(*args, **kwargs)])
        for shown in (*causes, finding):
            self._publish(shown)
        return finding

    def check_all(self, *checks: Check[[]]) -> Findings:
        """Run the checks at the same time; show all of them, the worst on top, then the numbers.

        A check that takes arguments is given them by `check.given(...)`.
        """
        clock = time.perf_counter()
        found = self._measurement.run(checks)
        status = worst(finding.status for finding in found)
        words = f"{view.summary(found)} in {time.perf_counter() - clock:.1f} s"
        text = f"{self.target.name}: {status.upper()} ({words})"
        self._display({"text/html": view.headline_html(status, words), "text/plain": text})
        for finding in view.worst_first(found):
            self._publish(finding)
        self._display(
            {
                "text/html": view.findings_table_html(found),
                "text/plain": view.findings_table_text(found),
            }
        )
        return found

    def chart(self, *drawn: charts.Chart) -> None:
        """Show charts side by side."""
        self._display({"text/html": charts.grid_html(drawn), "text/plain": charts.grid_text(drawn)})

    def _publish(self, finding: Finding) -> None:
        self._display(
            {
                FINDING_MIME: finding.model_dump(mode="json"),
                "text/html": view.finding_html(finding),
                "text/plain": view.finding_text(finding),
            }
        )

    def _publish_text(self, text: str) -> None:
        self._display({"text/html": f'<div style="opacity:.75">{text}</div>', "text/plain": text})

    def _display(self, data: dict[str, Any]) -> None:
        """Emit `data` into the notebook, or print its plain form where there is no notebook."""
        safe = self._redactor.tree(data)
        if get_ipython() is None:
            print(safe["text/plain"])  # noqa: T201 - a plain script has no other output
        else:
            publish_display_data(safe)  # type: ignore[no-untyped-call]
