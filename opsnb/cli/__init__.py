"""The command line: reads arguments, calls the package, prints text and sets the exit code.

Each group of commands is a module. A command imports what it needs only when it runs, so that
`--help`, `list` and refusals are immediate.
"""

import sys

from opsnb.machine import interrupts


def main() -> None:
    """Run the command line."""
    interrupts.end_at_once()  # until the commands have been imported, there is nothing to clean up
    if sys.argv[1:2] == ["run"]:
        from opsnb.cli.resident import client

        client.run()  # and exits, if there is a resident
    from opsnb.cli import entry

    entry.main()
