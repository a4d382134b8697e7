"""Text reaches the terminal through opsnb.view.terminal alone."""

from __future__ import annotations

import ast
import io
import logging
import subprocess
import sys
from pathlib import Path

import opsnb
from opsnb.view import terminal

PACKAGE = Path(opsnb.__file__).parent
MAY_WRITE = {
    "terminal.py",
    "cli/output.py",
    "cli/resident/client.py",
    "demo/launch.py",
    "machine/interrupts.py",
}
"""launch.py writes for a child that did not start; the client of a resident and interrupts.py write
lines of their own, at a signal and before anything is imported."""
WRITERS = {"echo", "secho", "print", "write", "writelines", "print_exc", "print_exception"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__", "typer", "click", "rich", "traceback"}


def writes(tree: ast.AST) -> list[int]:
    """Return the lines that write to the terminal by themselves."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if any(isinstance(each, ast.Name) and each.id == "visible" for each in ast.walk(node)):
            continue
        if isinstance(called, ast.Name) and called.id == "print":
            found.append(node.lineno)
        if isinstance(called, ast.Attribute) and called.attr in WRITERS:
            owner = ast.unparse(called.value).rpartition(".")[2]
            found += [node.lineno] if owner in STREAMS else []
        if ast.unparse(called) in ("Console", "rich.console.Console", "os.write"):
            found.append(node.lineno)
    return found


def test_nothing_else_writes_to_the_terminal() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in MAY_WRITE
        and not path.is_relative_to(PACKAGE / "share")
        for line in writes(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


def test_the_search_finds_what_it_looks_for() -> None:
    code = "print(x)\nimport typer\ntyper.echo(x)\nsys.stderr.write(x)\nprint(visible(x))\n"
    assert writes(ast.parse(code)) == [1, 3, 4]


def test_libraries_have_no_way_round() -> None:
    evil = "\x1b]0;owned\x07\u202e"
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = written = io.StringIO()
    try:
        with terminal.guarded():
            print(evil)  # noqa: T201
            logger = logging.getLogger("tests.evil")
            logger.addHandler(handler := logging.StreamHandler())
            logger.error(evil)
            logger.removeHandler(handler)
            terminal.console(file=sys.stdout).print(evil)
    finally:
        sys.stdout, sys.stderr = before
    assert written.getvalue().count("\\x1b]0;owned") == 3
    assert not terminal.HIDDEN.search(written.getvalue())


def test_what_is_typed_is_echoed_without_its_control_characters() -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e\u200b"
    for arguments in (
        ["run", evil], [evil], ["run", "health/daily", "-p", f"{evil}=1"], ["--x" + evil],
        ["run", "health/daily", "-t", evil], ["drill", evil], ["records", "show", evil],
        ["-c", evil, "doctor"], ["demo", "fault", evil], ["run", "--resume", evil],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "opsnb", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 64, done
        assert not terminal.HIDDEN.search(done.stdout + done.stderr), arguments
