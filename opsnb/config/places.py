"""Where things are on this machine: `opsnb.toml`, the demo stack, and what opsnb keeps itself.

The file is looked for at `$OPSNB_CONFIG`, then as `opsnb.toml` in the working folder and its
parents.
"""

from __future__ import annotations

import os
from pathlib import Path

from opsnb.errors import ConfigError
from opsnb.machine import private_files

CONFIG_NAME = "opsnb.toml"


def demo_home() -> Path:
    """Return the folder that holds the demo stack's state, whether it is up or not."""
    if home := os.environ.get("OPSNB_DEMO_HOME"):
        return resolved(at_home(home))
    return state_home() / "demo"


def at_home(path: str) -> Path:
    """Return `path` with `~` replaced. Raises ConfigError for a user without a home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(
            "This user has no home folder: set HOME, or XDG_STATE_HOME to a folder of its own."
        ) from None


def state_home() -> Path:
    """Return the folder for what opsnb keeps on this machine besides records."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return at_home(state) / "opsnb"


def state_folder(name: str) -> Path:
    """Make the folder `name` in the state folder and return it; both are this user's alone.

    Raises OSError when it cannot be made.
    """
    home = state_home()
    home.mkdir(mode=private_files.FOLDER, parents=True, exist_ok=True)
    # Started by root, the demo's PostgreSQL runs as another user, who passes through.
    passes = os.geteuid() == 0 and (home / "demo").exists()
    private_files.close(home, 0o066 if passes else 0o077)
    return private_files.folder(home / name)


def cache_home() -> Path:
    """Return the folder for what opsnb can make again. Raises ConfigError as `at_home`."""
    return at_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "opsnb"


def find_config(start: Path | None = None) -> Path | None:
    """Return the path of the `opsnb.toml` that is in force, or None when there is none."""
    if named := os.environ.get("OPSNB_CONFIG"):
        path = resolved(at_home(named))
        if not path.is_file():
            raise ConfigError(
                f"$OPSNB_CONFIG names {path}, which is not a file; correct or unset it."
            )
        return path
    start = resolved(start or Path())
    candidates = (folder / CONFIG_NAME for folder in (start, *start.parents))
    return next((path for path in candidates if path.is_file()), None)


def resolved(path: Path) -> Path:
    """Return `path` as seen from the working folder. Raises ConfigError when that is gone."""
    try:
        return path.resolve()
    except FileNotFoundError:
        raise ConfigError("The working folder no longer exists; go to one that does.") from None
