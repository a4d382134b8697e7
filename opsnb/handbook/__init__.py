"""What one runbook needs beyond the systems, at the notebook's own path."""
