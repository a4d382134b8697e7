"""The host's table of `opsnb.toml`."""

from __future__ import annotations

from pydantic import Field

from opsnb.config.settings import Settings

LOCAL = "local"


class HostSettings(Settings):
    """`[targets.NAME.host]`: where disk, memory, processes and logs are read."""

    address: str = Field(LOCAL, description="`local` or `ssh://user@host:port`.")
