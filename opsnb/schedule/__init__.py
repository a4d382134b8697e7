"""Runs by the clock: `[[schedules]]` of opsnb.toml, what cron calls, and its crontab."""
