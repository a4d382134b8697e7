"""Ten thousand records beside what one would use without opsnb, in one run.

    python benchmarks/records.py [--records 10000] [--store FOLDER]

Records of real runs on a demo stack of its own are copied over two months (or those of the store
FOLDER are, without a stack). Each work is a process of its own, so that its wall time, its CPU time
and its largest memory count from the start of Python. Prints

- the index from nothing, with and without full text (goal: < 30 s), beside `jq` over all results;
- `records list` with each filter and all of it, `--json` (goals: < 0.5 s, < 100 MB), beside `jq`
  with the same condition over all results;
- `records search` (goal: < 1 s), beside `grep` for the same word in all notebooks;
- the monthly review, beside reading and validating the same results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _history import fill, real_records, seeds
from health import BIN

from opsnb.demo import stack

_MEASURE = """
import os, resource, subprocess, sys, time
clock = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - clock, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, code)
"""
_REBUILD = """
import sys
from opsnb.records.reader import Reader
index = Reader(sys.argv[1]).index
index.discard()
index.refresh(texts=len(sys.argv) > 2)
"""
_REFRESH = """
import sys
from opsnb.records.reader import Reader
Reader(sys.argv[1]).index.refresh()
"""
_REVIEW = """
from opsnb.config.target import Target
from opsnb.handbook.maintenance.monthly import capacity, past, review
target, read = Target(name="demo"), past.periods(30)
for check in (review.metrics, review.runs, capacity.forecast):
    check(target, read)
"""
_PARSED = """
import sys
from pathlib import Path
from opsnb.records import stored
for path in Path(sys.argv[1]).rglob("result.json"):
    stored.result(path.read_bytes(), path.parent.name)
"""
_LIST = "select({condition}) | .run_id"
FILTERS = {
    "the newest 20": ([], "true"),
    "--status crit --limit 0": (["--status", "crit", "--limit", "0"], '.status == "crit"'),
    "--acted --limit 0": (["--acted", "--limit", "0"], "any(.actions[]; .started != null)"),
    "--runbook cache/* --operator anna --limit 0": (
        ["--runbook", "cache/*", "--operator", "anna", "--limit", "0"],
        '(.runbook | startswith("cache/")) and .operator == "anna"',
    ),
    "all": (["--limit", "0"], "true"),
}


@dataclass(frozen=True)
class Used:
    """What a process used."""

    seconds: float
    cpu_s: float
    mb: float


def used(*words: str) -> Used:
    """Run a command; it must succeed."""
    measured = [sys.executable, "-c", _MEASURE, *words]
    ran = subprocess.run(measured, check=True, capture_output=True, text=True)
    seconds, cpu_s, mb, code = map(float, ran.stdout.split())
    if code:
        raise SystemExit(f"{' '.join(words)} ended with {code:g}: {ran.stderr}")
    return Used(seconds, cpu_s, mb)


def python(code: str, *words: str) -> Used:
    return used(sys.executable, "-c", code, *words)


def opsnb(*words: str) -> Used:
    return used(str(BIN / "opsnb"), "records", *words)


def jq(store: Path, program: str) -> Used:
    """Run a jq program over all results."""
    find = f"find {store} -name result.json -print0 | xargs -0 jq -r '{program}'"
    return used("bash", "-c", find)


def grep(store: Path, word: str) -> Used:
    """Search the notebooks for a word."""
    return used("bash", "-c", f"grep -rlw --include=record.ipynb {word} {store} || true")


def line(name: str, ours: Used, peer: Used | None = None) -> None:
    beside = (
        f"{peer.seconds:>8.2f} s {peer.cpu_s:>7.2f} s {ours.cpu_s / peer.cpu_s:>7.2f}"
        if peer
        else ""
    )
    print(f"{name:<50}{ours.seconds:>8.2f} s {ours.cpu_s:>7.2f} s {ours.mb:>6.0f} MB{beside}")


@contextmanager
def surroundings(count: int, source: str | None) -> Iterator[Path]:
    """A store with `count` records; configuration, state and cache of our own."""
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        store = Path(folder, "records")
        os.environ |= {
            "OPSNB_DEMO_HOME": str(Path(folder, "demo")),
            "OPSNB_RECORDS": str(Path(folder, "real")),
            "XDG_STATE_HOME": str(Path(folder, "state")),
            "XDG_CACHE_HOME": str(Path(folder, "cache")),
        }
        if source is None:
            stack.up(print)
            try:
                real_records(os.environ["OPSNB_RECORDS"])
            finally:
                stack.down(print)
        fill(str(store), seeds(source or os.environ["OPSNB_RECORDS"]), count)
        os.environ["OPSNB_RECORDS"] = str(store)
        time.sleep(2.5)  # files so young are read twice, which those of a real store are not
        yield store


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--store", help="a store with real records, in place of a demo stack")
    options = parser.parse_args()
    with surroundings(options.records, options.store) as store:
        print(f"\n{options.records:,} records; wall and CPU time, memory; the peer; CPU ratio")
        all_results = jq(store, ".run_id")
        line("index from nothing / jq", python(_REBUILD, str(store)), all_results)
        line("the same with full text", python(_REBUILD, str(store), "texts"), all_results)
        line("index up to date", python(_REFRESH, str(store)))
        for name, (words, condition) in FILTERS.items():
            peer = jq(store, _LIST.format(condition=condition))
            line(f"records list, {name} / jq", opsnb("list", *words), peer)
        line("records list --json --limit 0 / jq", opsnb("list", "--json", "--limit", "0"),
             jq(store, "."))  # fmt: skip
        for text in ("cleared", "who cleared the cache", "disk"):
            word = text.split()[-1]
            line(f"records search {text} / grep {word}", opsnb("search", text), grep(store, word))
        review = python(_REVIEW)
        line("monthly review / reading its results", review, python(_PARSED, str(store)))


if __name__ == "__main__":
    main()
