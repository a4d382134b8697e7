"""Nothing of a secret is left in what opsnb writes, wherever it was planted, whatever cut it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from opsnb import catalog
from opsnb.cli import app
from opsnb.headless.run import Order
from opsnb.model import RunResult
from opsnb.site.builder import build
from opsnb.target import load_config
from tests import runs
from tests.planted.places import (
    api_tells,
    logs_hold,
    postgres_holds,
    redis_holds,
    release_holds,
)
from tests.planted.secrets import Secrets
from tests.servers import postgres
from tests.systems import redis_server

_RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("health/daily", "all", {}),
    ("health/daily", "facts", {"samples": 1}),
    ("queues/monitor", "all", {}),
    ("queues/metrics", "all", {"queue": "mail"}),
    ("queues/metrics", "all", {"queue": "post"}),
    ("queues/retry_failed", "all", {"queue": "mail"}),
    ("queues/remove_stuck", "all", {"queue": "mail", "longer_than": 1}),
    ("troubleshooting/failed_jobs", "all", {"queue": "mail"}),
    ("troubleshooting/failed_jobs", "all", {"queue": "post"}),
    ("troubleshooting/high_queue_length", "all", {"queue": "mail"}),
    ("cache/performance", "all", {"seconds": 1}),
    ("cache/key_patterns", "all", {}),
    ("cache/clear", "all", {"pattern": "gemini:*"}),
    ("database/performance", "all", {"mean_ms": 5}),
    ("database/connections", "all", {"minutes": 0.001}),
    ("database/analyze", "all", {}),
    ("troubleshooting/slow_queries", "all", {"seconds": 1}),
    ("incidents/high_error_rate", "all", {}),
    ("incidents/data_inconsistency", "all", {}),
    ("monitoring/key_metrics", "all", {"samples": 1, "seconds": 1}),
    ("deployment/pre_deploy", "release", {}),
    ("deployment/deploy", "release", {"unchecked_by": "me", "minutes": 0.01, "apply": True}),
)


@dataclass
class Written:
    """All that was written, as a reader sees it."""

    secrets: Secrets
    results: dict[str, RunResult] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """Text by what holds it."""

    def of(self, runbook: str) -> str:
        """Return the last run's findings and actions."""
        return self.results[runbook].model_dump_json()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Plant the secrets, run what reads them, and gather all that it leaves."""
    root, secrets = tmp_path_factory.mktemp("planted"), Secrets()
    store = redis_server.start(root / "redis")
    options = {"shared_preload_libraries": "pg_stat_statements"}
    try:
        redis_holds(store, secrets)
        logs, access = logs_hold(root / "logs", secrets)
        release = release_holds(root / "app", secrets)
        with (
            postgres.server(options=options) as database,
            postgres_holds(database, secrets),
            api_tells(secrets) as api,
            pytest.MonkeyPatch.context() as patch,
        ):
            cache = f"redis://127.0.0.1:{store.port}"
            common = {"redis_url": cache, "database_url": database.url()}
            bad = {"name": "notes", "sql": "SELECT id, note FROM notes"}
            config = {
                "all": common
                | {"api_url": f"{api}/0", "logs": logs, "access_logs": access, "integrity": [bad]},
                "facts": {"api_url": f"{api}/facts", "logs": [], "redis_url": cache},
                "release": {**common, "api_url": f"{api}/facts", "logs": []}
                | {"deploy": {"folder": root / "app", **release}},
            }
            (root / "opsnb.toml").write_text(_toml({"targets": config}))
            for name, value in {
                "OPSNB_CONFIG": str(root / "opsnb.toml"),
                "OPSNB_RECORDS": str(root / "records"),
                "XDG_STATE_HOME": str(root / "state"),
                "OPSNB_DEMO_HOME": str(root / "no-demo"),
                "COLUMNS": "2000",
                **secrets.environment,
            }.items():
                patch.setenv(name, value)
            patch.chdir(root)
            yield _all_of(root, secrets)
    finally:
        store.kill()


def _toml(value: object) -> str:
    """Return tables as inline TOML, which JSON nearly is."""
    assert isinstance(value, dict)
    return "".join(f"[targets.{name}]\n{_pairs(table)}" for name, table in value["targets"].items())


def _pairs(table: dict[str, object]) -> str:
    return "".join(f"{key} = {_inline(value)}\n" for key, value in table.items())


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(str(value))


def _all_of(root: Path, secrets: Secrets) -> Written:
    written = Written(secrets)
    for runbook, name, parameters in _RUNS:
        info, config = catalog.runbook(runbook), load_config()
        given = info.validate({"target": name, **parameters})
        result = runs.run(Order(info, config.target(name), given))
        where = f"{runbook} -t {name} {parameters}"
        written.results[where] = result
        written.places[f"the result of {where}"] = result.model_dump_json()
    named = secrets.new("queue's name")
    written.places["the terminal"] = "".join(
        _typed(*words)
        for words in (
            ["run", "health/daily", "-t", "all"],
            ["run", "troubleshooting/failed_jobs", "-t", "all", "-p", "queue=mail", "--json"],
            ["run", "queues/pause", "-t", "all", "-p", f"queue={named}"],
            ["records", "list"],
            ["records", "show", written.results[next(iter(written.results))].run_id],
        )
    )
    build(load_config(), root / "site", lambda _: None, app=app)
    for folder in ("records", "state", "site"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and path.suffix in (".json", ".ipynb", ".html", ".jsonl", ".log", ""):
                written.places[str(path.relative_to(root))] = _readable(path)
    return written


def _typed(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "opsnb", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(runs.ROOT)},
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def _readable(path: Path) -> str:
    text = path.read_text(errors="replace")
    text = re.sub(r"data:image/[a-z]+;base64,[\w+/=]+", "", text)
    return text if path.suffix not in (".json", ".ipynb") else "\n".join(_texts(json.loads(text)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            if not key.startswith("image/"):
                yield from _texts(item)
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


def test_nothing_of_a_secret_is_left(written: Written) -> None:
    assert written.secrets.seen(written.places) == {}
