"""How soon the command line answers, beside the import of the two libraries that it stands on.

    python benchmarks/startup.py

Prints, from medians of alternating rounds, the wall time of `opsnb --help`, `opsnb list` and a
refused parameter over that of `python -c 'import typer, pydantic'` (goal: at most 2 each), and the
same for an empty command of typer, below which no command that takes options can be.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from _beside import head, row

ROUNDS = 15
OPSNB = str(Path(sys.executable).with_name("opsnb"))
PEER = (sys.executable, "-c", "import typer, pydantic")
EMPTY = "import typer\napp = typer.Typer()\n@app.command()\ndef empty() -> None: ...\napp()"
OURS = {
    "an empty command of typer": (sys.executable, "-c", EMPTY),
    "opsnb --help": (OPSNB, "--help"),
    "opsnb list": (OPSNB, "list"),
    "opsnb run, refused": (OPSNB, "run", "health/daily", "-p", "nonsense=1"),
}


def seconds(words: tuple[str, ...]) -> float:
    clock = time.perf_counter()
    subprocess.run(words, check=False, capture_output=True)
    return time.perf_counter() - clock


def main() -> None:
    rounds = [{words: seconds(words) for words in (PEER, *OURS.values())} for _ in range(ROUNDS)]
    median = {words: statistics.median(each[words] for each in rounds) for words in rounds[0]}
    head("Start-up over `import typer, pydantic`")
    for name, words in OURS.items():
        row(name, median[words], median[PEER])


if __name__ == "__main__":
    main()
