"""One run of a runbook with nobody watching: papermill executes it, the record is kept."""
