"""A store with as many records as a benchmark needs: copies of real ones, spread over past days.

The real ones are of a demo stack: its runbooks, healthy and with a fault. In each copy the run id,
every time and the operator are others; all else is as it was recorded. The same records, count and
days give the same store. The copies have no seals, like records of versions before seals: it would
take minutes to seal 10,000, and no benchmark verifies them. Do not mix them with other records.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from health import BIN

from opsnb.demo import faults
from opsnb.model import RunResult
from opsnb.records.contents import as_json
from opsnb.records.extract import METADATA_KEY
from opsnb.records.reader import Reader
from opsnb.records.stored import NOTEBOOK, RESULT, STAMP, id_part, month_of

# What a week brings: each line is one run.
_HEALTHY = (
    "health/daily",
    "queues/monitor",
    "cache/health",
    "cache/clear -p pattern=gemini:* --apply",
    "database/performance",
    "queues/pause -p queue=ai-analysis --apply",
    "queues/resume -p queue=ai-analysis --apply",
    "monitoring/key_metrics",
    "troubleshooting/slow_queries",
    "incidents/service_down",
    "maintenance/weekly",
    "deployment/pre_deploy",
)
_FAULTY = ("health/daily", "queues/monitor", "incidents/service_down")
_FAULT = "queue-backlog"
_OFTEN = {"health/daily": 12, "queues/monitor": 4, "cache/health": 3, "monitoring/key_metrics": 2}
"""How many runs of these there are for one of any other runbook."""
_OPERATORS = ("anna", "ben", "chloe", "cron")
_TIME = re.compile(r"\b(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d)")


def real_records(url: str) -> None:
    """Run runbooks on the demo stack, which must be up, so that the store `url` has records."""
    for line in _HEALTHY:
        _run(line, url)
    faults.inject(_FAULT)
    for runbook in _FAULTY:
        _run(runbook, url)
    faults.clear(_FAULT)


def _run(line: str, url: str) -> None:
    words = [str(BIN / "opsnb"), "run", *line.split(), "-t", "demo"]
    ran = subprocess.run(words, check=False, capture_output=True, text=True)
    if ran.returncode > 3:
        raise SystemExit(f"{line}, recorded in {url}, ended with {ran.returncode}: {ran.stderr}")


@dataclass(frozen=True)
class Seed:
    """A real record."""

    run_id: str
    runbook: str
    target: str
    operator: str
    started: datetime
    files: dict[str, list[str | datetime]]
    """The content of each file by name, its times apart."""

    def shifted(self, to: datetime, number: int, operator: str) -> tuple[str, dict[str, str]]:
        """Return the run id and the files of the same run as it would have been at `to`."""
        by = to - self.started
        stamp = to.astimezone(UTC).strftime(STAMP)
        run_id = f"{stamp}-{id_part(self.runbook)}-{id_part(self.target)}-{number:05x}"
        was, now = (f'"operator": {json.dumps(name)}' for name in (self.operator, operator))
        texts = {name: _joined(pieces, by) for name, pieces in self.files.items()}
        return run_id, {
            name: text.replace(self.run_id, run_id).replace(was, now)
            for name, text in texts.items()
        }


def seeds(url: str) -> list[Seed]:
    """Return the records of the store `url` that stand alone, the oldest first."""
    reader = Reader(url)
    alone = [
        result
        for result in reader.results(oldest_first=True)
        if not (result.parent or result.fleet or result.open)
    ]
    return [_seed(result, Path(reader.folder(result.run_id))) for result in alone]


def _seed(result: RunResult, folder: Path) -> Seed:
    return Seed(
        result.run_id,
        result.runbook,
        result.target,
        result.operator,
        result.started.replace(microsecond=0),
        {name: _pieces(folder / name) for name in (NOTEBOOK, RESULT)},
    )


def fill(
    url: str, real: Iterable[Seed], count: int, *, days: float = 60, ends: datetime | None = None
) -> list[str]:
    """Write `count` records into the folder `url`, over the `days` before `ends`, by default now.

    They are at even distances. Return their run ids, the oldest first.
    """
    ends = (ends or datetime.now(UTC)).replace(microsecond=0)
    chosen = random.Random(count)
    often = [seed for seed in real for _ in range(_OFTEN.get(seed.runbook, 1))]
    step = timedelta(days=days) / count
    return [
        write(
            url,
            chosen.choice(often),
            ends - (count - number) * step,
            number,
            chosen.choice(_OPERATORS),
        )
        for number in range(count)
    ]


def write(url: str, seed: Seed, at: datetime, number: int, operator: str = "anna") -> str:
    """Write one record and return its run id."""
    run_id, files = seed.shifted(at.replace(microsecond=0), number, operator)
    folder = Path(url, month_of(run_id), run_id)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return run_id


def _pieces(path: Path) -> list[str | datetime]:
    """Return the content of a file, without its seal, which no copy can keep.

    Its times are apart: every second piece is one.
    """
    content = json.loads(path.read_bytes())
    for sealed in (content, content.get("metadata", {}).get(METADATA_KEY, {})):
        sealed.pop("seal", None)
    pieces = _TIME.split(as_json(content).decode())
    return [
        datetime.fromisoformat(piece) if number % 2 else piece
        for number, piece in enumerate(pieces)
    ]


def _joined(pieces: list[str | datetime], by: timedelta) -> str:
    return "".join(
        piece if isinstance(piece, str) else (piece + by).isoformat() for piece in pieces
    )
