"""Puts secrets wherever a check reads: into Redis, PostgreSQL, logs, an API, a release."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

from tests.planted.secrets import Secrets, filled
from tests.queue_jobs import META
from tests.servers.postgres import Server as Postgres
from tests.systems.processes.test_checks import pm2_entry
from tests.systems.redis_server import Server as Redis

NOW = datetime.now(UTC)
STAMP = f"{NOW:%Y-%m-%dT%H:%M:%S}.000Z"


def redis_holds(server: Redis, secrets: Secrets) -> None:
    """Plant them in queues, keys, names of connections and the slow log."""
    client = server.client()
    client.config_set("slowlog-log-slower-than", 0)
    reasons = [
        f"login as {secrets.new('reason')} refused",
        *secrets.crossing("reason", 34, 160),
    ]
    _queue(client, "mail", [{"failedReason": reason} for reason in reasons])
    stack = json.dumps([f"Error: x\n    at {secrets.new('stack')} (/srv/app.js:1:2)"])
    named = ({"failedReason": "x", "name": name} for name in secrets.crossing("job's name", 60))
    _queue(client, "post", [*named, {"failedReason": "y", "stacktrace": stack}])
    _queue(client, secrets.new("queue's name"), [{"failedReason": "w"}])
    client.hset("bull:mail:meta", mapping={"paused": "1"})
    client.hset(f"bull:mail:{secrets.new('id of a job')}", mapping={"name": "n", "timestamp": 1})
    client.lpush("bull:mail:active", secrets.new("id of a job"))
    for number, text in enumerate(secrets.crossing("key", 34, 120)):
        client.set(f"gemini:{number}:{text}", "x" * number)
    for inside in (12, 20, 30):
        secret = secrets.new(f"slow command, {inside} before 128", digits=False)
        client.get("gemini:" + filled(121 - inside).replace(" ", "-") + secret)
    client.get(f"user:{secrets.new('key of a command', digits=False)}:cart")
    client.config_set("slowlog-log-slower-than", 10_000_000)
    family = secrets.new("family of keys", digits=False)
    for number in range(200):
        client.set(f"{family}:{number}", "x")
    client.hset(f"bull:post:repeat:{secrets.new('name of a scheduler')}", mapping={"every": "1"})
    client.zadd("bull:post:repeat", {secrets.new("scheduler"): 1})
    child = f"child bull:{secrets.new('queue of a child')}:{secrets.new('id of a child')} failed"
    _queue(client, "flow", [{"failedReason": child}])
    encoded = base64.b64encode(b"mail").decode()
    client.client_setname(f"bull:{encoded}:w:{secrets.new('name of a worker')}")


def _queue(client: Any, name: str, jobs: list[dict[str, str]]) -> None:
    now = int(time.time() * 1000)
    client.hset(f"bull:{name}:meta", mapping=META)
    for number, fields in enumerate(jobs):
        job = {"name": "send", "data": "{}", "opts": "{}", "atm": "1", "stacktrace": "[]", **fields}
        times = dict.fromkeys(("timestamp", "processedOn", "finishedOn"), str(now - number))
        client.hset(f"bull:{name}:{number}", mapping={**job, **times})
        client.zadd(f"bull:{name}:failed", {str(number): now - number})


@contextmanager
def postgres_holds(server: Postgres, secrets: Secrets) -> Iterator[None]:
    """Plant them in statements, names, and sessions that run and wait meanwhile."""
    with _connected(server) as database:
        database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        for number, text in enumerate(secrets.crossing("statement", 160, 300)):
            head = f"SELECT pg_sleep(0.02){', 1' * number} /* "  # other columns: another statement
            for _ in range(2):
                database.execute(f"{head}{text[len(head) :]} */".encode())
        for text in secrets.crossing("block", 80, 300):
            head = "DO $$ BEGIN PERFORM pg_sleep(0.02); /* "
            database.execute(f"{head}{text[len(head) :]} */ END $$".encode())
        for place in ("name of a table", "name across 63"):
            table = secrets.new(place)
            table = table if place == "name of a table" else filled(45).replace(" ", "_") + table
            database.execute(f'CREATE TABLE "{table}" (id int, note text)'.encode())
            rows = "SELECT g, g FROM generate_series(1, 2000) g"
            database.execute(f'INSERT INTO "{table}" {rows}'.encode())
            database.execute(f'DELETE FROM "{table}" WHERE id > 500'.encode())
        role = _names(database, secrets)
        database.execute("CREATE TABLE held (id int)")
        database.execute("CREATE TABLE notes (id int, note text)")
        for number, text in enumerate(secrets.crossing("row", 200)):
            database.execute("INSERT INTO notes VALUES (%s, %s)", [number, text])
    sessions = []
    try:
        holder = _connected(server, filled(50) + secrets.new("application across 63"))
        sessions.append(holder)
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE held IN ACCESS SHARE MODE")
        notes = [*secrets.crossing("query", 120, 200)]
        notes.append(filled(1000) + secrets.new("query across 1023"))
        texts = [f"/* {note} */ SELECT pg_sleep(600)" for note in notes]
        waiting = f"/* {filled(100)}{secrets.new('query that waits')} */ DROP TABLE held"
        sessions.append(psycopg.connect(server.url(role), autocommit=True))
        sessions[-1].execute("BEGIN")
        for text in (*texts, waiting):
            sessions.append(_connected(server, secrets.new("application")))
            threading.Thread(target=_ignoring, args=(sessions[-1], text), daemon=True).start()
        while _running(server) < len(texts) + 1:
            time.sleep(0.05)
        yield
    finally:
        with _connected(server) as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        for session in sessions:
            session.close()


def _names(database: psycopg.Connection[Any], secrets: Secrets) -> str:
    """Plant them in names of columns, indexes, schemas and roles, and in comments.

    Return the role.
    """
    for number, place in enumerate(("column", "column across 63")):
        name = secrets.new(f"name of a {place}")
        name = filled(50).replace(" ", "_") + name if "across" in place else name
        database.execute(f'CREATE TABLE wide{number} (id int, "{name}" int)'.encode())
        database.execute(f'CREATE INDEX ON wide{number} ("{name}")'.encode())
        for text in (secrets.new("comment"), *secrets.crossing("comment", 120)):
            database.execute(f"COMMENT ON TABLE wide{number} IS '{text}'".encode())
    index = secrets.new("name of an index")
    database.execute(f'CREATE INDEX "{index}" ON wide0 (id)'.encode())
    database.execute("CREATE TABLE twice (id int)")
    database.execute("INSERT INTO twice VALUES (1), (1)")
    with suppress(psycopg.Error):  # leaves an index that is not valid
        index = secrets.new("name of an invalid index")
        database.execute(f'CREATE UNIQUE INDEX CONCURRENTLY "{index}" ON twice (id)'.encode())
    for kind in ("SCHEMA", "ROLE"):
        name = secrets.new(f"name of a {kind.lower()}")
        database.execute(f'CREATE {kind} "{name}"'.encode())
    database.execute(f'ALTER ROLE "{name}" LOGIN'.encode())
    return name


def _connected(server: Postgres, name: str = "planter") -> psycopg.Connection[Any]:
    return psycopg.connect(server.url(), autocommit=True, application_name=name)


def _ignoring(session: psycopg.Connection[Any], text: str) -> None:
    with suppress(psycopg.Error):  # it is ended at the end of the test
        session.execute(text.encode())


def _running(server: Postgres) -> int:
    (row,) = server.query(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return int(row[0])


def logs_hold(folder: Path, secrets: Secrets) -> dict[str, list[Path]]:
    """Plant them in lines of every format; return the files, by the format.

    Few in each, so that all of them are shown.
    """
    folder.mkdir()
    at = NOW.timestamp() * 1000
    alike = [f"{STAMP} ERROR cannot log in as {secrets.new(f'alike {n}')}" for n in range(3)]
    lost = f"{STAMP} ERROR connect ECONNREFUSED redis {secrets.new('lost Redis')}"
    agent = secrets.new("user agent")
    logs = {
        "plain": [f"{STAMP} ERROR {text}" for text in secrets.crossing("plain line", 34, 120)],
        "long": [f"{STAMP} ERROR {text}" for text in secrets.crossing("long line", 300)],
        "alike": [*alike, lost],
        "json": [
            json.dumps({"level": 50, "time": at, "msg": text})
            for text in secrets.crossing("line of JSON", 120, 300)
        ],
        # Cut by what wrote it, so that it is read by its beginning.
        "cut": [
            json.dumps({"level": 50, "time": at, "msg": text})[:-32]
            for text in secrets.crossing("cut line of JSON", 150)
        ],
        "docker": [
            json.dumps({"log": f"{STAMP} ERROR {text}\n", "stream": "stderr", "time": STAMP})
            for text in secrets.crossing("line of Docker", 120, 300)
        ],
        "cri": [f"{STAMP} stderr F ERROR {text}" for text in secrets.crossing("line of CRI", 300)],
        "pm2": [f"0|api  | {STAMP} ERROR {text}" for text in secrets.crossing("line of pm2", 120)],
        "strange": [f"no time here: {secrets.across('strange line', 106)}"],
    }
    access = {
        "access": [
            *(f"{STAMP} GET /reset/{secrets.new('path')} 500 {900 + n} ms" for n in range(5)),
            f'127.0.0.1 - - [{NOW:%d/%b/%Y:%H:%M:%S} +0000] "GET /a HTTP/1.1" 200 5 "-" "{agent}"',
            *(
                f"{STAMP} GET /x/{text.replace(' ', '-')} 500 9 ms"
                for text in secrets.crossing("long path", 34, 297)
            ),
        ],
        "odd": [f"{STAMP} GET what {secrets.across('odd request', 86)}"],
    }
    named = folder / f"{secrets.new('name of a log')}.log"
    named.write_text(f"{STAMP} ERROR boom in a named log\n")
    found = {"named": [named, folder / f"{secrets.new('name of no log')}.log"]}
    for name, lines in {**logs, **access}.items():
        found[name] = [folder / f"{name}.log"]
        found[name][0].write_text("".join(f"{line}\n" for line in lines))
    return found


def release_holds(folder: Path, secrets: Secrets) -> dict[str, list[str]]:
    """Plant them in what the commands of a deployment print; return its settings."""
    folder.mkdir()

    def printing(place: str, limit: int) -> list[str]:
        return _python(f"print({secrets.across(place, limit)!r})")

    failing = f"import sys; sys.exit('error: ' + {filled(100) + secrets.new('complaint')!r})"
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    message = secrets.new("commit's message")
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
    return {
        "release": ["git", "log", "-1", "--format=%h %s"],
        "changes": ["true"],
        "tests": printing("output of the tests", 200),
        "pending": printing("pending migration", 160),
        "migrate": printing("output of a step", 160),
        "fetch": _python(failing),
        "restart": ["true"],
    }


def pm2_tells(program: Path, secrets: Secrets) -> dict[str, str]:
    """Plant them in the list of a process manager; return the settings that name it."""
    environment = {"API_KEY_OF_THE_SERVICE": secrets.new("environment of a process")}
    entries = [
        pm2_entry(secrets.new("name of a process"), "errored", env=environment),
        pm2_entry(
            secrets.across("long name of a process", 34),
            "online",
            args=["--x", *environment.values()],
        ),
    ]
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(entries)}\nEND\n")
    program.chmod(0o755)
    return {"command": str(program)}


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@contextmanager
def api_tells(secrets: Secrets) -> Iterator[list[str]]:
    """Serve APIs whose answers hold them; yields their URLs."""
    words = list(secrets.crossing("body of an error", 160))
    answers: dict[str, tuple[int, str]] = {
        f"/{n}/health": (500, text) for n, text in enumerate(words)
    }
    answers["/facts/health"] = (
        200,
        json.dumps(
            {
                "status": "degraded",
                "checks": {secrets.new("name of a part"): "down"},
                "password": secrets.new("fact"),
                "message": secrets.across("message of the API", 120),
            }
        ),
    )
    queue = {"name": secrets.new("queue of the API"), "paused": True}
    answers["/facts/api/queue/stats"] = (200, json.dumps([queue]))
    moved = secrets.new("place of a redirect")
    realm = f'Bearer realm="{secrets.new("realm of an API")}"'
    headers = {
        "/headers/health": {
            "WWW-Authenticate": realm,
            "Server": secrets.new("server of an API"),
            "Set-Cookie": f"a={secrets.new('cookie of an API')}",
            "Retry-After": secrets.new("time of an API"),
            "Content-Type": f"text/{secrets.new('type of an API')}",
            f"X-{secrets.new('name of a header')}": "1",
        }
    }
    answers["/headers/health"] = (401, "")

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = answers.get(self.path, (302, ""))
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"/login?next={moved}")
            for name, value in headers.get(self.path, {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        names = ("facts", *range(len(words)), "moved", "headers")
        yield [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
        server.shutdown()
        thread.join()
