"""The command line: arguments in, calls to the package, words and an exit code out.

A group of commands is a module. Each command imports the heavy parts that it needs, so that
`--help`, `list` and a refusal answer at once.
"""

# The order of these imports is the order in which the help lists the commands.
from opsnb.cli import runbooks, run, lab, doctor, records, schedule, notify, site, demo, authoring  # noqa: F401, I001
from opsnb.cli.application import app
from opsnb.cli.entry import main

__all__ = ["app", "main"]
