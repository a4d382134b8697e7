"""Marks in the environment of processes that opsnb starts."""

STARTED_BY = "OPSNB_STARTED_BY"
"""In the environment of a kernel and its children: the execution that started it."""
