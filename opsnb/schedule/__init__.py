"""Scheduled runs: `[[schedules]]` of opsnb.toml, by cron or systemd."""
