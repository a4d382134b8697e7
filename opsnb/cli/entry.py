"""The console script: an error becomes one sentence and an exit code."""

from __future__ import annotations

import re
import sys
import traceback
from importlib import import_module

import typer
from typer._click.exceptions import NoArgsIsHelpError

from opsnb.cli import completion, output
from opsnb.cli.application import app
from opsnb.errors import ExitCode, Locked, OpsnbError, Refused
from opsnb.machine import interrupts
from opsnb.view import commands, terminal

_MODULES = {
    "list": "runbooks",
    "show": "runbooks",
    "run": "run",
    "open": "lab",
    "lab": "lab",
    "doctor": "doctor",
    "schedule": "schedule",
    "notify": "notify",
    "site": "site",
    "demo": "demo",
}
"""The module of each command that stands in one alone."""


def main() -> None:
    """Run the command line. Errors are one sentence, never a traceback."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        sys.argv.remove("--debug")
    completion.prepare()
    with terminal.guarded():
        code = _exit_code(debug)
        interrupts.ignore()  # only the exit is left, with that code
        sys.exit(code)


def _exit_code(debug: bool) -> int:
    try:
        # With the other commands, typer takes as long again before it begins.
        import_module(f"opsnb.cli.{_MODULES.get(''.join(sys.argv[1:2]), 'commands')}")
        interrupts.end_in_order()
        code = app(standalone_mode=False)
    except NoArgsIsHelpError as error:
        output.say(error.format_message())
        return 0
    except OpsnbError as error:
        code = _failed(str(error), error.exit_code, debug)
        if sys.stderr.isatty() and (options := _options_for(error)):
            words = [commands.quoted(word) for word in (*sys.argv[1:], *options)]
            output.note(f"Next:\n  opsnb {' '.join(words)}")
        return code
    except typer.exceptions.TyperException as error:
        return _failed(_usage(error), ExitCode.UNUSABLE, debug)
    except (typer.Abort, KeyboardInterrupt):
        return _failed("Interrupted.", ExitCode.INTERRUPTED, debug)
    except Exception as error:  # noqa: BLE001 - no traceback for the engineer at 3 a.m.
        message = f"opsnb failed: {type(error).__name__}: {error}. Run it again with --debug."
        return _failed(_without_secrets(message), OpsnbError.exit_code, debug)
    return code if isinstance(code, int) else 0


def _options_for(error: OpsnbError) -> list[str]:
    """Return the options that avoid the refusal `error` of the same command."""
    if isinstance(error, Locked) and "--wait" in str(error) and "--wait" not in sys.argv:
        return ["--wait", "600"]
    if isinstance(error, Refused):
        return re.findall(r"--confirm|(?<=--confirm )[\w-]+", str(error))
    return []


def _failed(message: str, code: int, debug: bool) -> int:
    """Print `message` as an error, with --debug its traceback too, and return `code`."""
    if debug:
        output.note(_without_secrets(traceback.format_exc().rstrip()))
    if message:
        output.error(message)
    return code


def _without_secrets(text: str) -> str:
    # Imported here: a refusal quotes only what was typed, and needs no redaction.
    from opsnb.redaction import Redactor, environment_secrets

    return Redactor(environment_secrets()).text(text)


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, in one sentence."""
    words = " ".join(error.format_message().split())  # empty when the help has been printed
    if words in ("No such option: --config", "No such option: -c") or (
        words.startswith("No such option: --config (")
    ):
        return "Write --config before the command: opsnb --config FILE COMMAND ..."
    return words if not words or words.endswith((".", "?", ")")) else f"{words}."
