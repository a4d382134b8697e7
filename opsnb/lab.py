"""JupyterLab on a working copy of the runbooks: stepping through one never changes the original."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from opsnb.catalog import share
from opsnb.errors import RunBroke
from opsnb.model import now
from opsnb.target import find_config, state_home

_FIRST = "health/daily.ipynb"
# Takes JupyterLab's news and its look for updates away: no question pops up in an incident, and
# no request leaves the machine.
_QUIET = Path(__file__).parent / "jupyter"


def working_copy() -> Path:
    """Copy the runbooks into a folder of their own, which stays, and return it.

    Raises RunBroke when it cannot be written.
    """
    folder = state_home() / "lab" / f"{now():%Y%m%dT%H%M%SZ}-{os.getpid()}"
    try:
        shutil.copytree(share("notebooks"), folder)
    except OSError as error:
        raise RunBroke(
            f"The runbooks cannot be copied to {folder}: {error}. "
            "Make room, or set XDG_STATE_HOME to a folder that can be written."
        ) from error
    return folder


def lab(folder: Path, options: Sequence[str] = ()) -> int:
    """Open JupyterLab in `folder` on the daily check, wait for its end, return its exit code.

    `options` are JupyterLab's own, such as `--no-browser`.
    """
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{_FIRST}",
    ]
    try:
        return subprocess.call([*command, *options], env=_environ())
    except KeyboardInterrupt:
        return 0


def _environ() -> dict[str, str]:
    environ = dict(os.environ)
    paths = filter(None, (str(_QUIET), environ.get("JUPYTER_CONFIG_PATH")))
    environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    # The copy stands elsewhere, so its kernels would not find the configuration by themselves.
    if config := find_config():
        environ["OPSNB_CONFIG"] = str(config)
    return environ
