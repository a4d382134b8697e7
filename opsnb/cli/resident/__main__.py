"""`python -m opsnb.cli.resident SOCKET SECONDS`: the resident's process."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from opsnb.cli.resident.claim import claimed, sweep


def main() -> None:
    """Serve at the socket that the command line names, unless another process does."""
    began_ns = time.time_ns()
    path, idle_s = Path(sys.argv[1]), float(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # which the ending process that started it ignored
    with suppress(OSError), claimed(path) as claim:
        if claim is None:
            return
        sweep(path.parent)
        from opsnb.cli.resident import server

        server.serve(path, idle_s, claim, began_ns)


if __name__ == "__main__":
    main()
