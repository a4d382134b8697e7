"""JupyterLab's program: Ctrl-C ends it at once until its server handles the signal."""

import signal
import sys

from opsnb.machine import interrupts

if __name__ == "__main__":
    interrupts.end_at_once()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # blocked by `become`
    from jupyterlab.labapp import main

    sys.exit(main())
