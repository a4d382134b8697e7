"""The host's table of `opsnb.toml`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from opsnb.config.settings import Secret, Settings
from opsnb.config.urls import split

LOCAL = "local"


class HostSettings(Settings):
    """`[targets.NAME.host]`: where disk, memory, processes and logs are read."""

    address: Annotated[str, Secret.URL] = Field(
        LOCAL, description="`local` or `ssh://user@host:port`."
    )

    @field_validator("address")
    @classmethod
    def _can_be_reached(cls, address: str) -> str:
        parts = split(address)
        is_ssh = parts and parts.scheme == "ssh" and parts.hostname
        if address != LOCAL and (not is_ssh or re.search(r"\s", address)):
            raise ValueError(f"must be `{LOCAL}` or `ssh://user@host:port`, the port up to 65535")
        return address
