"""The colours of statuses and of actions."""

from __future__ import annotations

from opsnb.model import ActionState, Status

COLOURS = {
    Status.OK: "#1a7f37",
    Status.WARN: "#9a6700",
    Status.CRIT: "#cf222e",
    Status.UNKNOWN: "#6e40c9",
    Status.SKIPPED: "#59636e",
}
"""Backgrounds on which white text has a contrast of at least 4.5."""

ACTION_COLOURS = {
    ActionState.PLANNED: "#0b5fae",
    ActionState.REFUSED: COLOURS[Status.CRIT],
    ActionState.APPLYING: COLOURS[Status.WARN],
    ActionState.APPLIED: COLOURS[Status.OK],
    ActionState.INTERRUPTED: COLOURS[Status.CRIT],
    ActionState.FAILED: COLOURS[Status.CRIT],
}

TERMINAL_STYLES = {
    Status.OK: "green",
    Status.WARN: "yellow",
    Status.CRIT: "bold red",
    Status.UNKNOWN: "magenta",
    Status.SKIPPED: "dim",
}
"""rich styles, always with the word: colour alone means nothing on paper or in a log."""
