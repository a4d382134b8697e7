"""Secrets found, harmless texts masked, and the time that many known secrets cost.

    python benchmarks/redaction.py [--mb 0.5]

Reads the corpora of the tests (tests/redaction/) and prints, beside detect-secrets alone
(its default plugins and filters) on the same texts:

- the planted secrets that are found: unknown ones by their shape, known ones however they are
  written,
- the harmless texts in which something is masked (goal: none).

Then it masks so many megabytes of log lines and prints the CPU seconds of 200 known secrets over
those of 10 (goal: at most 2), the megabytes a second, and how the time grows when hostile texts are
twice as long (goal: about 2).
"""

from __future__ import annotations

import argparse
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

from opsnb.redaction import Redactor
from tests.redaction.corpus import Planted, harmless, planted
from tests.redaction.encoded import written

ROUNDS = 3
_HOSTILE = ("a", "\\", "%25", "&amp;", "password=", "://a:", "bearer ", "eyJabcdefgh.", "<a '")


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=0.5)
    size = int(parser.parse_args().mb * 1e6)
    _corpora()
    _speed(size)
    _growth(size)


def _corpora() -> None:
    shapes = [*planted(), *planted("planted_later.txt"), *planted("planted_third.txt")]
    plain = [*harmless(), *harmless("harmless_later.txt"), *harmless("harmless_third.txt")]
    known = written()
    ours = Redactor().text
    print(f"{'':28}{'opsnb':>12}{'detect-secrets':>16}")
    _print("shapes found", shapes, _found(shapes, ours), _found(shapes, _peer))
    masked = [Redactor([case.secret]).text(case.text) for case in known]
    told = sum(not case.is_legible(text) for case, text in zip(known, masked, strict=True))
    _print("known secrets found", known, told, _found(known, _peer))
    _print("harmless masked", plain, _masked(plain, ours), _masked(plain, _peer))


def _print(what: str, of: Iterable[object], ours: int, peer: int) -> None:
    total = len(list(of))
    print(f"{what:28}{f'{ours}/{total}':>12}{f'{peer}/{total}':>16}")


def _found(cases: Iterable[Planted], mask: Callable[[str], str]) -> int:
    return sum(not case.is_legible(mask(case.text)) for case in cases)


def _masked(texts: Iterable[str], mask: Callable[[str], str]) -> int:
    return sum(mask(text) != text for text in texts)


def _peer(text: str) -> str:
    """Return `text` without what detect-secrets finds in a file of it."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file, default_settings():
        file.write(text)
        file.flush()
        found = [secret.secret_value for secret in scan_file(file.name)]
    for value in filter(None, found):
        text = text.replace(value, "")
    return text


def _speed(size: int) -> None:
    source = random.Random(1)

    def word(length: int) -> str:
        return "".join(source.choices(string.ascii_letters + string.digits, k=length))

    lines = (
        f"2026-11-28T08:00:00Z INFO app GET /api/x/{i} 200 {i / 7:.1f} ms user={word(8)}\n"
        for i in range(size // 70)
    )
    text = "".join(lines)
    secrets = [word(24) for _ in range(200)]
    seconds = {count: _cpu_s(secrets[:count], text) for count in (0, 10, 200)}
    for count, took in seconds.items():
        print(f"{count:4} known secrets: {took:.2f} s, {len(text) / took / 1e6:.1f} MB/s")
    print(f"200 over 10 known secrets: {seconds[200] / seconds[10]:.2f}")


def _growth(size: int) -> None:
    secrets = ["hunter2hunter2", "aaaaaaab"]
    ratios = {}
    for unit in _HOSTILE:
        once, twice = unit * (size // 2 // len(unit)), unit * (size // len(unit))
        ratios[unit] = _cpu_s(secrets, twice) / _cpu_s(secrets, once)
    unit, ratio = max(ratios.items(), key=lambda item: item[1])
    print(f"twice the length of a hostile text: at most {ratio:.1f} times the time ({unit!r})")


def _cpu_s(secrets: Iterable[str], text: str) -> float:
    """Return the median CPU time of masking `text` by a redactor that is new each time."""
    times = []
    for _ in range(ROUNDS):
        clock = time.process_time()
        Redactor(secrets).text(text)
        times.append(time.process_time() - clock)
    return statistics.median(times)


if __name__ == "__main__":
    main()
