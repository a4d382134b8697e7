"""The table of `opsnb.toml` that names the service's logs."""

from __future__ import annotations

from pydantic import Field

from opsnb.config.settings import Settings


class Logs(Settings):
    """`[targets.NAME.logs]`: the service's logs on its host."""

    files: tuple[str, ...] = Field(
        ("/var/log/app.log",),
        description="Live log files; their rotated and gzipped siblings are found by themselves.",
    )
    access: tuple[str, ...] = Field(
        (), description="Live access logs: what users asked for, how it was answered, how soon."
    )
