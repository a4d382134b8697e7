"""The table of `opsnb.toml` that says what keeps the processes running."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opsnb.config.settings import Secret, Settings


class Processes(Settings):
    """`[targets.NAME.processes]`: what keeps the service's processes running."""

    manager: Literal["pm2", "docker", "systemd"] = Field(
        "pm2", description="What runs the processes."
    )
    names: tuple[str, ...] = Field(
        (), description="Processes, containers or units that must be up. Empty: all that it lists."
    )
    command: str = Field(
        "",
        description="The manager's program on the host, when it is not on the PATH, or its words, "
        "such as `systemctl --user`.",
    )
    env: Annotated[dict[str, str], Secret.ENVIRONMENT] = Field(
        default_factory=dict,
        description='Environment of the manager\'s program, such as `{ PM2_HOME = "/srv/.pm2" }`.',
    )
