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
from opsnb.checks.running import Findings, Measurement
from opsnb.config.file import load_config
from opsnb.headless.order import Order
from opsnb.model import RunResult
from opsnb.redaction import MASK, Redactor, environment_secrets
from opsnb.systems import api, logs
from opsnb.view import findings as view
from tests import runs
from tests.planted.places import (
    api_tells,
    logs_hold,
    pm2_tells,
    postgres_holds,
    redis_holds,
    release_holds,
)
from tests.planted.secrets import Secrets
from tests.servers import postgres
from tests.systems import redis_server

_RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("health/daily", "all", {}),
    ("queues/monitor", "all", {}),
    ("queues/metrics", "all", {"queue": "mail"}),
    ("queues/retry_failed", "all", {"queue": "mail"}),
    ("queues/remove_stuck", "all", {"queue": "mail", "longer_than": 1}),
    ("troubleshooting/failed_jobs", "all", {"queue": "mail"}),
    ("troubleshooting/failed_jobs", "all", {"queue": "post"}),
    ("troubleshooting/failed_jobs", "all", {"queue": "flow"}),
    ("troubleshooting/high_queue_length", "all", {"queue": "mail"}),
    ("cache/performance", "all", {"seconds": 1}),
    ("cache/key_patterns", "all", {}),
    ("cache/clear", "all", {"pattern": "gemini:*"}),
    ("database/performance", "all", {"mean_ms": 5, "limit": 100}),
    ("database/connections", "all", {"minutes": 0.001}),
    ("database/analyze", "all", {}),
    ("database/reindex", "all", {}),
    ("troubleshooting/slow_queries", "all", {"seconds": 1}),
    ("incidents/high_error_rate", "all", {}),
    ("incidents/data_inconsistency", "all", {}),
    ("incidents/service_down", "all", {}),
    ("monitoring/key_metrics", "all", {"samples": 1, "seconds": 1}),
    ("deployment/pre_deploy", "release", {}),
    ("deployment/deploy", "release", {"unchecked_by": "me", "minutes": 0.01, "apply": True}),
)


@dataclass
class Written:
    """All that was written, as a reader sees it."""

    secrets: Secrets
    places: dict[str, str] = field(default_factory=dict)
    """Text by what holds it."""
    runs: dict[str, RunResult] = field(default_factory=dict)
    found: dict[str, Findings] = field(default_factory=dict)
    """What the checks of one log or one API found, by target."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Plant the secrets, run what reads them, and gather all that it leaves."""
    root, secrets = tmp_path_factory.mktemp("planted"), Secrets()
    store = redis_server.start(root / "redis")
    options = {"shared_preload_libraries": "pg_stat_statements"}
    try:
        redis_holds(store, secrets)
        lines = logs_hold(root / "logs", secrets)
        release = release_holds(root / "app", secrets)
        with (
            postgres.server(options=options) as database,
            postgres_holds(database, secrets),
            api_tells(secrets) as apis,
            pytest.MonkeyPatch.context() as patch,
        ):
            cache = f"redis://127.0.0.1:{store.port}"
            manager = pm2_tells(root / "pm2", secrets)
            systems = {"redis_url": cache, "database_url": database.url(), "processes": manager}
            bad = {"name": "notes", "sql": "SELECT id, note FROM notes"}
            config: dict[str, dict[str, Any]] = {
                "all": {"logs": lines["alike"], "access_logs": lines["access"]}
                | {"integrity": [bad], "api_url": apis[0], **systems},
                "release": {
                    "logs": [],
                    "deploy": {"folder": root / "app", **release},
                    "redis_url": cache,
                },
                **{f"log-{name}": {"logs": files} for name, files in lines.items()},
                **{f"access-{name}": {"access_logs": lines[name]} for name in ("access", "odd")},
                **{f"api-{n}": {"api_url": url} for n, url in enumerate(apis)},
            }
            (root / "opsnb.toml").write_text(_toml(config))
            for name, value in {
                "OPSNB_CONFIG": str(root / "opsnb.toml"),
                "OPSNB_RECORDS": str(root / "records"),
                "XDG_STATE_HOME": str(root / "state"),
                "XDG_CACHE_HOME": str(root / "cache"),
                "OPSNB_DEMO_HOME": str(root / "no-demo"),
                "COLUMNS": "2000",
                **secrets.environment,
            }.items():
                patch.setenv(name, value)
            patch.chdir(root)
            yield _all_of(root, secrets)
    finally:
        store.kill()


def _toml(targets: dict[str, dict[str, Any]]) -> str:
    return "".join(f"[targets.{name}]\n{_pairs(table)}" for name, table in targets.items())


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
        written.runs[where] = result
        written.places[f"the result of {where}"] = result.model_dump_json()
    for name in load_config().names:
        written.found[name] = _found(name)
        shown = map(view.finding_data, written.found[name])
        written.places[f"what was found on {name}"] = "\n".join(map(json.dumps, shown))
    named = secrets.new("queue's name")
    written.places["the terminal"] = "".join(
        _typed(*words)
        for words in (
            ["run", "queues/pause", "-t", "all", "-p", f"queue={named}", "--json"],
            ["run", "troubleshooting/failed_jobs", "-t", "all", "-p", "queue=mail"],
            ["records", "show", next(iter(written.runs.values())).run_id],
            ["records", "search", "mail"],
            ["site", "build", "--out", str(root / "site")],
        )
    )
    pages = [path for kind in ("html", "js", "xml") for path in root.glob(f"site/**/*.{kind}")]
    for page in pages:
        written.places[str(page.relative_to(root))] = _without_pictures(page.read_text("utf-8"))
    for folder in ("records", "state", "cache"):
        for path in (path for path in (root / folder).rglob("*") if path.is_file()):
            written.places[str(path.relative_to(root))] = _readable(path)
    return written


def _found(name: str) -> Findings:
    """Return what the checks that read one log or one API find, as it is kept."""
    target = load_config().target(name)
    checks = {
        "log": [logs.errors.given(hours=1)],
        "access": [logs.requests.given(), logs.error_rate.given()],
        "api": [api.health.given(), api.queue_stats.given(), api.latency.given(samples=1)],
    }.get(name.partition("-")[0], [])
    redactor = Redactor(target.secrets | environment_secrets())
    return Findings(map(redactor.result, Measurement(target).run(checks)))


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
    if path.suffix in (".json", ".ipynb"):
        text = "\n".join(_texts(json.loads(text)))
    return _without_pictures(text)


def _without_pictures(text: str) -> str:
    return re.sub(r"data:image/[a-z]+;base64,[\w+/=]+", "", text)


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


def test_what_stands_around_a_secret_is_shown(written: Written) -> None:
    reasons = "".join(written.places.values())
    assert f"login as {MASK} refused" in reasons
    assert "lorem ipsum dolor sit amet" in reasons
    for name in ("plain", "json", "docker", "cri", "pm2", "strange", "cut"):
        (finding,) = written.found[f"log-{name}"]
        assert "lorem ipsum" in finding.model_dump_json()
        assert MASK in finding.model_dump_json()


def test_errors_that_differ_in_a_secret_are_one_group(written: Written) -> None:
    (finding,) = written.found["log-alike"]
    counts = {row["pattern"]: row["count"] for row in finding.rows}
    assert counts == {f"cannot log in as {MASK}": 3, f"connect ECONNREFUSED redis {MASK}": 1}
