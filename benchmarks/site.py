"""The site beside mkdocs-jupyter, which people publish executed notebooks with, in one run.

    python benchmarks/site.py [--records 10000] [--peer 1000] [--seeds STORE]

Fills a store with `--records` records, copies of real ones from a demo stack of its own (or of
those in the folder `--seeds`), and prints

- a first build, in CPU time a record, over mkdocs-jupyter's of `--peer` of the same notebooks
  (goal: less than 25 ms),
- publishing one new record among all of them: `opsnb site build` from the start of its process to
  its end, over mkdocs-jupyter's rebuild, extrapolated from `--peer` (goals: 2 s, and 1/50),
- what a browser loads for the page of a daily check and for the status page, over the peer's page
  of the same record (goals: 60 KB and 150 KB).

Times are CPU time, of all processes: the machine may be busy. The wall time stands beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from _beside import head
from _history import fill, real_records, seeds, write
from health import BIN
from playwright.sync_api import Page, Response

from opsnb.demo import stack
from opsnb.records.reader import Reader
from opsnb.site.server import server
from tests.browser import chromium

_ROUNDS = 3
_CONFIG = "[targets.demo]\n[records]\nstore = 'records'\n"
_PEER = """
site_name: records
use_directory_urls: false
theme: {name: material, font: false}
plugins: [search, mkdocs-jupyter]
"""


class Took(NamedTuple):
    """How long a command took, in seconds."""

    cpu: float
    wall: float


def took(*words: str, folder: Path) -> Took:
    """Return what a command in `folder` took, with all its processes."""
    before, clock = _cpu(), time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return Took(_cpu() - before, time.perf_counter() - clock)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def build(folder: Path) -> Took:
    return took(str(BIN / "opsnb"), "site", "build", folder=folder)


@contextmanager
def surroundings(given: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield a folder of our own and a store with real records."""
    with tempfile.TemporaryDirectory(prefix="opsnb-site-") as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        os.environ.pop("OPSNB_RECORDS", None)
        if given:
            yield folder, str(given.resolve())
            return
        os.environ["OPSNB_DEMO_HOME"] = str(folder / "demo")
        os.environ["OPSNB_RECORDS"] = str(folder / "real")
        stack.up(print)
        try:
            real_records(str(folder / "real"))
        finally:
            stack.down(print)
        del os.environ["OPSNB_RECORDS"]
        yield folder, str(folder / "real")


def peer_build(folder: Path, store: Path, run_ids: list[str]) -> Took:
    """Publish the notebooks of these records with mkdocs-jupyter."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    (docs / "index.md").write_text("# Records\n", encoding="utf-8")
    reader = Reader(str(store))
    for run_id in run_ids:
        (docs / f"{run_id}.ipynb").write_bytes(
            Path(reader.folder(run_id), "record.ipynb").read_bytes()
        )
    (folder / "mkdocs.yml").write_text(_PEER, encoding="utf-8")
    return took(str(BIN / "mkdocs"), "build", "-q", folder=folder)


def moved(site: Path, *pages: str) -> Iterator[int]:
    """Yield how many bytes a browser with an empty cache loads for each page."""
    with server(site, 0) as running, chromium() as browser:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        for name in pages:
            page = browser.new_context().new_page()
            responses = _responses(page)
            page.goto(f"http://127.0.0.1:{running.server_address[1]}/{name}")
            page.wait_for_load_state("networkidle")
            yield sum(len(each.body()) for each in responses)
        running.shutdown()


def _responses(page: Page) -> list[Response]:
    """Return a list that every response to `page` will be added to."""
    responses: list[Response] = []

    def keep(response: Response) -> None:
        responses.append(response)

    page.on("response", keep)
    return responses


def compared(name: str, ours: float, peer: float, unit: str) -> None:
    """Print one line of the table."""
    print(f"{name:<58}{ours:>8.1f} {unit:<2}{peer:>8.1f} {unit:<2}{ours / peer:>9.4f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--peer", type=int, default=1000)
    parser.add_argument("--seeds", type=Path, help="a store with real records")
    wanted = parser.parse_args()
    with surroundings(wanted.seeds) as (folder, url):
        measure(folder, url, wanted.records, wanted.peer)


def measure(folder: Path, url: str, count: int, peer_count: int) -> None:
    """Print every figure."""
    store, site = folder / "records", folder / "site"
    (folder / "opsnb.toml").write_text(_CONFIG, encoding="utf-8")
    real = seeds(url)
    docs = build(folder)  # without a record: the docs and the runbooks alone
    run_ids = fill(str(store), real, count)
    first = build(folder)
    print(f"{count:,} records; the docs and runbooks alone take {docs.cpu:.1f} CPU s")
    rounds = []
    for number in range(_ROUNDS):
        write(str(store), real[0], datetime.now(UTC), count + number)
        rounds.append(build(folder))
    again = Took(*(statistics.median(times) for times in zip(*rounds, strict=True)))
    peer = peer_build(folder / "peer", store, run_ids[-peer_count:])
    each = peer.cpu / peer_count
    head("The site over mkdocs-jupyter")
    compared("first build, a record, CPU", 1000 * first.cpu / count, 1000 * each, "ms")
    compared(f"one more of {count:,}, CPU", again.cpu, each * count, "s")
    print(f"  the same by the clock: {again.wall:.1f} s")
    weights(folder, run_ids[-peer_count:], site)


def weights(folder: Path, run_ids: list[str], site: Path) -> None:
    """Print what a browser loads."""
    daily = next(run_id for run_id in reversed(run_ids) if "-health.daily-" in run_id)
    ours, status = moved(site, f"records/{daily}.html", "index.html")
    (peer,) = moved(folder / "peer/site", f"{daily}.html")
    compared("moved for the page of a daily check", ours / 1000, peer / 1000, "KB")
    compared("moved for the status page (peer: as above)", status / 1000, peer / 1000, "KB")


if __name__ == "__main__":
    main()
