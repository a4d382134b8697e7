"""Ctrl-C while modules are imported ends a command with one line."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb.errors import ExitCode

_INTERRUPTED_BY_ITSELF = """
import os, signal, sys
module, *words = sys.argv[1:]
def look(event, about):
    if event == "import" and about[0] == module:
        os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # runners of tests may ignore it
sys.addaudithook(look)
"""
_COMMAND = "sys.argv = ['opsnb', *words]\nfrom opsnb.cli import main\nmain()"
_LAB = "import runpy\nrunpy.run_module('opsnb.lab.starting', run_name='__main__')"


def interrupted(program: str, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `program`, which interrupts itself when it imports `module`."""
    script = _INTERRUPTED_BY_ITSELF + program
    return subprocess.run(
        [sys.executable, "-c", script, module, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("opsnb.cli.entry", ("list",)),
        ("typer", ("list",)),
        ("opsnb.cli.schedule", ("records", "list")),
        ("annotated_types", ("records", "list", "--limit", "1")),
        ("opsnb.catalog", ("list",)),
        ("fsspec", ("records", "list")),
        ("opsnb.lab.copies", ("lab",)),
    ],
)
def test_a_command_that_is_interrupted_while_it_imports_says_so_in_one_line(
    module: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = interrupted(_COMMAND, module, *words)
    assert (ended.returncode, ended.stdout) == (ExitCode.INTERRUPTED, "")
    assert ended.stderr == "opsnb: Interrupted.\n"


@pytest.mark.parametrize("module", ["jupyterlab.labapp", "tornado", "jupyter_server.serverapp"])
def test_jupyterlab_that_is_interrupted_while_it_imports_says_so_in_one_line(module: str) -> None:
    ended = interrupted(_LAB, module)
    assert (ended.returncode, ended.stdout) == (ExitCode.INTERRUPTED, "")
    assert ended.stderr == "opsnb: Interrupted.\n"


def test_nothing_is_imported_before_the_command_line_can_handle_an_interrupt() -> None:
    code = "import sys; before = set(sys.modules); import opsnb; print(set(sys.modules) - before)"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert set(ast.literal_eval(ended.stdout)) == {"__future__", "opsnb"}
