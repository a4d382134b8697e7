"""Checks: one, several at once, ranked as causes, watched over time."""
