"""The daily health check beside what an engineer would use instead, in one run.

    python benchmarks/health.py

Brings up a demo stack of its own and prints three ratios, each from medians of several rounds:

- all checks together over the slowest of them alone (goal: at most 1.3),
- `opsnb run health/daily` over stock `papermill` on the same notebook,
- `opsnb run health/daily`, and the checks alone, over the handbook's shell checklist.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from _beside import head, median_s, row

from opsnb import catalog
from opsnb.checks.running import Measurement
from opsnb.config.file import load_target
from opsnb.config.target import Target
from opsnb.demo import stack
from opsnb.systems import api, cache, database, host, logs, processes, queues
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from opsnb.systems.logs.settings import Logs
from opsnb.systems.processes.settings import Processes

ROUNDS = 7
BIN = Path(sys.executable).parent
CHECKS = (
    api.health,
    api.latency,
    api.queue_stats,
    queues.depth,
    queues.failures,
    cache.ping,
    cache.memory,
    database.ping,
    database.size,
    processes.up,
    host.reachable,
    host.disk,
    host.memory,
    logs.errors,
)


def command(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run(words, check=True, capture_output=True)


def checklist(target: Target) -> Callable[[], object]:
    """Return the handbook's section 1 as the shell commands that it gives, one after another."""
    redis = urlsplit(Cache.of(target).url)
    psql = (
        str(Path(Database.of(target).programs, "psql")) if Database.of(target).programs else "psql"
    )
    steps = [
        f"curl -sf {Api.of(target).url}/health",
        f"curl -sf {Api.of(target).url}/api/queue/stats",
        f"{psql} '{Database.of(target).url}' -c 'SELECT 1;'",
        f"{Processes.of(target).command} list",
        "df -h",
        "free -h",
        f"tail -n 100 {Logs.of(target).files[0]} | grep -i error || true",
    ]
    if shutil.which("redis-cli"):
        os.environ["REDISCLI_AUTH"] = redis.password or ""
        steps.insert(2, f"redis-cli -h {redis.hostname} -p {redis.port} ping")
    else:
        print("redis-cli is not installed, so the shell checklist is timed without its PING.")
    return command("bash", "-ec", "\n".join(steps))


def main() -> None:
    notebook = str(catalog.runbook("health/daily").path)
    with tempfile.TemporaryDirectory(prefix="opsnb-") as folder:
        os.environ["OPSNB_DEMO_HOME"] = str(Path(folder, "demo"))
        os.environ["OPSNB_RECORDS"] = str(Path(folder, "records"))
        stack.up(print)
        try:
            target = load_target("demo")
            together = median_s(lambda: Measurement(target).run(CHECKS), ROUNDS)
            alone = {check.name: median_s(lambda c=check: c(target), ROUNDS) for check in CHECKS}  # type: ignore[misc]
            slowest = max(alone, key=lambda name: alone[name])
            shell = median_s(checklist(target), ROUNDS)
            ours = median_s(
                command(str(BIN / "opsnb"), "run", "health/daily", "-t", "demo"), ROUNDS
            )
            stock = median_s(
                command(str(BIN / "papermill"), notebook, str(Path(folder, "out.ipynb"))), ROUNDS
            )
        finally:
            stack.down(print)
    head(f"medians of {ROUNDS} rounds")
    row(f"all {len(CHECKS)} checks together / {slowest} alone", together, alone[slowest])
    row("all checks together / one after another", together, sum(alone.values()))
    row("opsnb run / stock papermill", ours, stock)
    row("opsnb run / the handbook's shell checklist", ours, shell)
    row("the checks in a running kernel / the shell checklist", together, shell)


if __name__ == "__main__":
    main()
