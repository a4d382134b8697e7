"""Start JupyterLab: quiet, with a new workspace, and with records."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from opsnb.config.places import find_config
from opsnb.lab import starting

# Its settings and the extension of its server. No dialog appears during an incident, and no request
# leaves the machine.
_SETTINGS = Path(__file__).parents[1] / "jupyter"


def become(folder: Path, first: str, options: Sequence[str] = ()) -> NoReturn:
    """Replace this process with JupyterLab in `folder`, which opens its file `first`.

    Signals and the exit code are then JupyterLab's own. `options` are passed on, such as
    `--no-browser`.
    """
    command = [
        *(sys.executable, "-m", starting.__name__),
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{quote(first)}",
        # Otherwise the tabs of the last session would open notebooks and start kernels.
        f"--LabApp.workspaces_dir={folder / '.workspaces'}",
        f"--LabApp.extra_labextensions_path={_SETTINGS / 'labextensions'}",
        "--Application.log_level=ERROR",
        # Until the extension handles it, Ctrl-C also ends JupyterLab without a prompt.
        "--ServerApp.answer_yes=True",
        *options,
    ]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the new program handles it
    os.execve(sys.executable, command, _environ())


def _environ() -> dict[str, str]:
    environ = dict(os.environ)
    paths = filter(None, (str(_SETTINGS), environ.get("JUPYTER_CONFIG_PATH")))
    environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "opsnb"  # for fast kernels
    # Kernels run in the folder of the copies, where there is no opsnb.toml.
    if config := find_config():
        environ["OPSNB_CONFIG"] = str(config)
    return environ
