"""JupyterLab as opsnb starts it: quiet, with no trace of the last time, and with records."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from opsnb.config.places import find_config

# Its settings and the extension of its server, which keeps the records. No question pops up in an
# incident, and no request leaves the machine.
_SETTINGS = Path(__file__).parents[1] / "jupyter"


def become(folder: Path, first: str, options: Sequence[str] = ()) -> NoReturn:
    """Turn this process into JupyterLab in `folder`, which opens the file `first` of it.

    So signals and the exit code are JupyterLab's own. `options` are its own too, such as
    `--no-browser`.
    """
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{quote(first)}",
        # The tabs of the last time would open notebooks, and start kernels, of this copy.
        f"--LabApp.workspaces_dir={folder / '.workspaces'}",
        f"--LabApp.extra_labextensions_path={_SETTINGS / 'labextensions'}",
        "--Application.log_level=ERROR",
        # Until the extension listens for Ctrl-C, that ends JupyterLab without a question too.
        "--ServerApp.answer_yes=True",
        *options,
    ]
    os.execve(sys.executable, command, _environ())


def _environ() -> dict[str, str]:
    environ = dict(os.environ)
    paths = filter(None, (str(_SETTINGS), environ.get("JUPYTER_CONFIG_PATH")))
    environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "opsnb"  # a kernel is there at once
    # The copy stands elsewhere, so its kernels would not find the configuration by themselves.
    if config := find_config():
        environ["OPSNB_CONFIG"] = str(config)
    return environ
