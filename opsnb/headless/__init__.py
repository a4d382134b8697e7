"""Headless runs: papermill executes a runbook, and its record is kept."""
