"""`opsnb.toml`: targets, thresholds, schedules and notifications."""
