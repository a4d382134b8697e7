"""The console script: whatever a command raises ends as one sentence and an exit code."""

from __future__ import annotations

import io
import sys

import typer

from opsnb.cli import output
from opsnb.cli.application import app
from opsnb.errors import OpsnbError, UsageError

INTERRUPTED = 130


def main() -> None:
    """Run the command line; the console script. Errors are one sentence, never a traceback."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        sys.argv.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign still gets the rest
    try:
        code = app(standalone_mode=False)
    except OpsnbError as error:
        code = _failed(str(error), error.exit_code, debug)
    except typer.exceptions.TyperException as error:
        code = _failed(_usage(error), UsageError.exit_code, debug)
    except (typer.Abort, KeyboardInterrupt):
        code = _failed("Interrupted.", INTERRUPTED, debug)
    except Exception as error:  # noqa: BLE001 - no traceback for the engineer at 3 a.m.
        message = f"opsnb itself failed: {type(error).__name__}: {error}. Run again with --debug."
        code = _failed(message, OpsnbError.exit_code, debug)
    sys.exit(code if isinstance(code, int) else 0)


def _failed(message: str, code: int, debug: bool) -> int:
    """Print `message` as an error and return `code`; with --debug, raise instead."""
    if debug:
        raise  # noqa: PLE0704 - called from an except clause
    if message:
        output.note(f"opsnb: {message}")
    return code


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, in one line that ends as a sentence."""
    words = " ".join(error.format_message().split())  # empty when the help has been printed
    return words if not words or words.endswith((".", "?", ")")) else f"{words}."
