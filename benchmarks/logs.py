"""Reading the errors of a big log beside `grep -c`, in one run.

    python benchmarks/logs.py [--mib 1024] [--hours 2]

Writes a log of that size to a temporary folder, its lines spread over so many hours up to now, one
in a thousand of them an error, and prints the CPU seconds, of this process and of the programs
that it starts, as ratios:

- `logs.errors` of the last hour over `grep -ci error` (goal: at most 1.5),
- the reading that all causes of `incidents/high_error_rate` share, and its judgements, over
  `logs.errors` (goal: at most 2).

The peak of the memory of this process follows (goal: under 200 MiB).
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _beside import head, row

from opsnb.config.target import Target
from opsnb.handbook.incidents import high_error_rate
from opsnb.systems import logs

ROUNDS = 3
_MIB = 2**20


def written(path: Path, size: int, hours: float) -> None:
    """Write a log whose lines end now."""
    draw = random.Random(1)
    begin = datetime.now(UTC) - timedelta(hours=hours)
    done = number = 0
    with path.open("w") as file:
        while done < size:
            at = (begin + timedelta(hours=hours * done / size)).isoformat(timespec="milliseconds")
            lines = []
            for _ in range(1000):
                number += 1
                text = (
                    f"ERROR worker[{number % 7}]: job {number} failed: ECONNREFUSED 10.0.0.7:6379"
                    if number % 1000 == 7
                    else f"INFO  worker[{number % 7}]: job {number} of user "
                    f"{draw.randrange(10**6)} done in {draw.randrange(1000)} ms, queue emails"
                )
                lines.append(f"{at} {text}\n")
            block = "".join(lines)
            file.write(block)
            done += len(block)


def cpu_s(work: Callable[[], object]) -> float:
    """Return the median CPU time of `work` and what it starts, after one round that only warms."""
    work()
    times = []
    for _ in range(ROUNDS):
        before = _spent_s()
        work()
        times.append(_spent_s() - before)
    return statistics.median(times)


def _spent_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def diagnosed(target: Target) -> None:
    """Judge the causes that need nothing but the log."""
    window = high_error_rate.Window(1)
    for cause in (
        high_error_rate.rate,
        high_error_rate.deployed,
        high_error_rate.upstream,
        high_error_rate.code,
        high_error_rate.over_time,
    ):
        cause.given(window)(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--hours", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        log = Path(folder, "app.log")
        written(log, options.mib * _MIB, options.hours)
        target = Target(name="bench", logs=(str(log),))
        grep = cpu_s(
            lambda: subprocess.run(["grep", "-ci", "error", log], check=True, capture_output=True)
        )
        ours = cpu_s(lambda: logs.errors(target))
        causes = cpu_s(lambda: diagnosed(target))
        head(f"CPU seconds, medians of {ROUNDS} rounds, {options.mib} MiB, {options.hours:g} hours")
        row("logs.errors / grep -ci error", ours, grep)
        row("the causes of high_error_rate / logs.errors", causes, ours)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
