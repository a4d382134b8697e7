"""The command line: reads arguments, calls the package, prints text and sets the exit code.

Each group of commands is a module. A command imports what it needs only when it runs, so that
`--help`, `list` and refusals are immediate.
"""

# The order of these imports is the order in which the help lists the commands.
from opsnb.cli import runbooks, run, lab, doctor, records, schedule, notify, site, demo, authoring  # noqa: F401, I001
from opsnb.cli.application import app as app
from opsnb.cli.entry import main as main
