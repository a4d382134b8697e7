"""The table of `opsnb.toml` that says what keeps the processes running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from opsnb.config.settings import Secret, Settings
from opsnb.systems.host.settings import LOCAL

_VARIABLES = {
    "pm2": ("PM2_HOME",),
    "docker": ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"),
    "systemd": ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
}


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

    @classmethod
    def client_variables(cls, _written: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of the manager's program, where it runs on this machine."""
        if _written.get("host", {}).get("address", LOCAL) != LOCAL:
            return ()
        return _VARIABLES.get(str(_written.get("processes", {}).get("manager", "pm2")), ())
