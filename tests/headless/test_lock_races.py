"""Two containers with one host name never hold one lock together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "locks.py"
NO_NAMESPACES = 77


def test_two_containers_never_hold_a_lock_together() -> None:
    words = [sys.executable, str(BENCHMARK), "--races", "20"]
    raced = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if raced.returncode == NO_NAMESPACES:
        pytest.skip(raced.stdout)
    assert raced.returncode == 0, raced.stdout + raced.stderr
    counts = re.findall(r"^  \D+(\d+)", raced.stdout, re.MULTILINE)
    first, second, _, both = map(int, counts)
    assert (first + second, both) == (20, 0)
