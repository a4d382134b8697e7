"""Strikes runs that act at random moments, and checks each effect, record, lock and leftover.

    python benchmarks/kills.py [--count 200] [--seed 1] [--jobs 2]

Each trial has its own seed, which is printed with every fault: the same seed makes the same trial.
Trials of odd seeds strike while the action is under way.
It runs a runbook on a private Redis and working copy (jobs retried or removed, keys cleared, a
queue paused, a release deployed), kills the runner or the kernel or sends a signal after a random
part of the run's span, and continues it by `--resume`. Exits with 1 when there was a fault.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.headless import random_kills
from tests.headless.random_kills import SCENARIOS, System, Trial


def main() -> int:
    """Run the trials and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="Of the first trial.")
    parser.add_argument("--jobs", type=int, default=2, help="How many trials at a time.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        systems: SimpleQueue[System] = SimpleQueue()
        made = [System(Path(folder, str(number))) for number in range(given.jobs)]
        for each in made:
            systems.put(each)
        try:
            found = run(systems, given.jobs, range(given.seed, given.seed + given.count))
        finally:
            for each in made:
                each.close()
    report(found)
    return int(any(each.faults for each in found))


def run(systems: SimpleQueue[System], jobs: int, seeds: range) -> list[Trial]:
    """Run the trials of `seeds`, `jobs` at a time."""
    own = systems.get()
    spans = {each.name: random_kills.span_of(own, each) for each in SCENARIOS}
    systems.put(own)
    print(
        "Undisturbed:",
        ", ".join(f"{name} {span:.1f} s" for name, span in spans.items()),
        flush=True,
    )

    def trial(seed: int) -> Trial:
        own = systems.get()
        try:
            scenario, strike, delay_s, in_action = random_kills.planned(spans, seed)
            done = random_kills.trial(own, scenario, strike, delay_s, in_action=in_action)
        except Exception as error:  # noqa: BLE001 - a trial that fails is a fault too
            done = Trial("?", "?", 0, faults=[f"the trial failed: {type(error).__name__}: {error}"])
        finally:
            systems.put(own)
        what = f"{done.scenario}, {done.strike} at {done.delay_s:.2f} s ({done.state})"
        if seed % 20 == 0:
            print(f"... seed {seed}", file=sys.stderr, flush=True)
        for fault in done.faults:
            print(f"seed {seed}: {what}: {fault}", flush=True)
        return done

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(trial, seeds))


def report(found: list[Trial]) -> None:
    """Print the figures."""
    well = sum(not each.faults for each in found)
    print(f"\n{len(found)} trials, {well} without a fault (goal: all).")
    for title, names in (
        ("Runbook", Counter(each.scenario for each in found)),
        ("Struck by", Counter(each.strike for each in found)),
        ("The run was", Counter(each.state for each in found)),
    ):
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in names.most_common()))


if __name__ == "__main__":
    sys.exit(main())
