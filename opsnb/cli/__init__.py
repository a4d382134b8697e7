"""The command line: reads arguments, calls the package, prints text and sets the exit code.

Each group of commands is a module. A command imports what it needs only when it runs, so that
`--help`, `list` and refusals are immediate.
"""

from opsnb.machine import interrupts


def main() -> None:
    """Run the command line."""
    interrupts.end_at_once()  # until the commands have been imported, there is nothing to clean up
    from opsnb.cli import entry

    entry.main()
