"""Addresses of the site's pages that are named elsewhere too, from the site's root."""

from __future__ import annotations

from opsnb.records.stored import id_part


def record(run_id: str) -> str:
    """Return the page of a record."""
    return f"records/{run_id}.html"


def alert(metric: str) -> str:
    """Return the page of the threshold of `metric`."""
    return f"alerts/{id_part(metric)}.html"


def symptom(name: str) -> str:
    """Return the page of a symptom."""
    return f"symptoms/{id_part(name)}.html"
