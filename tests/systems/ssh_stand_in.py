"""A program `ssh` of the test's own: it runs here what it is sent, by a login shell that is odd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opsnb.config.target import Target

RUN = 'exec sh -c "$sent"'
FAR = Target(name="far", host="ssh://ops@box")


def stand_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, before: str = "", instead: str = RUN
) -> Target:
    """Return a target behind it.

    The shell does `before` and then runs what it was sent as the word "$sent", or does `instead`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "ssh"
    program.write_text(
        '#!/bin/bash\nwhile [ "$1" != "--" ]; do shift; done; shift 2\nsent="$*"\n'
        f"{before}\n{instead}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return FAR
