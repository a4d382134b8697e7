"""Which rows of the demo's database contradict one another, and what fixes them."""

from __future__ import annotations

from typing import Any

INTEGRITY: tuple[dict[str, Any], ...] = (
    {
        "name": "scores-out-of-range",
        "sql": "SELECT id, scene_id, score FROM analyses"
        " WHERE NOT score BETWEEN 0 AND 1 ORDER BY id",
        "repair": "DELETE FROM analyses WHERE NOT score BETWEEN 0 AND 1",
        "queues": ["ai-analysis"],
    },
    {
        "name": "scene-positions",
        "sql": "SELECT project_id, position, count(*) AS scenes FROM scenes"
        " GROUP BY project_id, position HAVING count(*) > 1 ORDER BY project_id, position",
        "repair": "UPDATE scenes SET position = ordered.place FROM (SELECT id, row_number() OVER"
        " (PARTITION BY project_id ORDER BY position, id) AS place FROM scenes) AS ordered"
        " WHERE scenes.id = ordered.id AND scenes.position <> ordered.place",
        "queues": ["ai-analysis", "exports"],
    },
    {
        "name": "unknown-status",
        "sql": "SELECT id, name, status FROM projects"
        " WHERE status NOT IN ('active', 'archived') ORDER BY id",
        "repair": "",
        "queues": [],
    },
)
"""Checks of `[[targets.demo.integrity]]`; none finds anything in a healthy stack. The right status
of a project cannot be guessed, so a person fixes that one by hand."""
