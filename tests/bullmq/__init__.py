"""A service of somebody else's: BullMQ 4, 5 or 6 in a Node process, told what to do line by line.

    from tests.bullmq import VERSIONS, Service

    with Service(5, "redis://127.0.0.1:6379") as mail:
        mail.add("mail", 6)                                  # ids of 6 jobs
        mail.add("mail", 1, jobId="order:7", priority=3)     # with options of BullMQ's
        mail.add("mail", 1, data={"ms": 500, "fail": True})  # what the worker does with it
        mail.work("mail", concurrency=2, name="report worker 1")
        mail.until_idle("mail")                              # nothing waits, nothing is active
        mail.runs("mail")                                    # {"1": {"began": 1, "completed": 1}}
        mail.stop("mail")                                    # its workers end what they have begun
        mail.queue("mail", "pause")                          # any method of BullMQ's Queue
        mail.job("mail", "1", "retry", "failed")             # any method of its Job
        mail.counts("mail")                                  # {"waiting": 5, "paused": 0, ...}
        mail.ids("mail", "failed", "completed")              # ids of these states, sorted
        mail.kill()                                          # as the kernel does; locks stay behind

A job's data say how it runs: `ms` (how long, 0), `fail` (True: always; a number: so many times; a
text: always, with this reason), `hold` (until `release(queue)`). A command that the service answers
with an error raises ServiceFailed. Each version is installed once, from its lock file in `v4`, `v5`
or `v6`, into the user's cache folder (XDG_CACHE_HOME).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock

from opsnb.demo.node import find_node

VERSIONS = (4, 5, 6)

_HERE = Path(__file__).parent


class ServiceFailed(AssertionError):
    """The service could not do what it was told; with what it said."""


@cache
def installed(version: int) -> Path:
    """Return the folder whose node_modules has BullMQ of this major version; npm runs once."""
    source = _HERE / f"v{version}"
    node = find_node()
    about = node.version.encode() + (source / "package-lock.json").read_bytes()
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "opsnb"
    folder = base / f"tests-bullmq-{version}-{hashlib.sha256(about).hexdigest()[:12]}"
    base.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            aside = folder.with_suffix(".part")
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(source, aside, ignore=shutil.ignore_patterns("node_modules"))
            command = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            path = os.pathsep.join([str(node.node.parent), os.environ.get("PATH", os.defpath)])
            done = subprocess.run(
                command,
                cwd=aside,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            aside.rename(folder)
    return folder


class Service:
    """One Node process that makes jobs and works on them."""

    def __init__(self, version: int, url: str, prefix: str = "bull") -> None:
        """Start it on the Redis at `url`."""
        self.version = version
        about = json.dumps({"url": url, "prefix": prefix})
        self._process = subprocess.Popen(
            [str(find_node().node), str(_HERE / "service.cjs"), about],
            cwd=installed(version),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.kill()

    def tell(self, command: str, **given: Any) -> Any:
        """Return what the service answers to one command."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": command, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ServiceFailed(f"The service is gone (exit {self._process.wait()}).")
        answer = json.loads(line)
        if "error" in answer:
            raise ServiceFailed(answer["error"])
        return answer["result"]

    def add(
        self, queue: str, count: int = 1, *, name: str = "work", data: Any = None, **options: Any
    ) -> list[str]:
        """Add `count` jobs, with options of BullMQ (jobId, priority, delay); return their ids."""
        given = {"queue": queue, "count": count, "name": name, "data": data or {}}
        return list(self.tell("add", **given, options=options))

    def flow(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Add a parent with its children; return `{"id": ..., "children": [...]}`."""
        return dict(self.tell("flow", tree=tree))

    def work(self, queue: str, **options: Any) -> None:
        """Start a worker, with BullMQ's options (name, concurrency, lockDuration, ...)."""
        self.tell("work", queue=queue, options=options)

    def release(self, queue: str) -> None:
        """Let jobs that are held in a worker end, now and from now on."""
        self.tell("release", queue=queue)

    def stop(self, queue: str) -> None:
        """Close the workers of `queue`, once they have ended what they have begun."""
        self.tell("stop", queue=queue)

    def runs(self, queue: str) -> dict[str, dict[str, int]]:
        """Return for each job how often this service's workers began, completed and failed it."""
        return dict(self.tell("runs", queue=queue))

    def queue(self, queue: str, method: str, *arguments: Any) -> Any:
        """Return what a method of BullMQ's Queue returns."""
        return self.tell("queue", queue=queue, method=method, arguments=arguments)

    def job(self, queue: str, job: str, method: str, *arguments: Any) -> Any:
        """Return what a method of a Job returns; a job that is not there raises ServiceFailed."""
        given = {"queue": queue, "job": job, "method": method, "arguments": arguments}
        return self.tell("job", **given)

    def counts(self, queue: str) -> dict[str, int]:
        """Return how many jobs are in each state, as this version of BullMQ counts them."""
        return dict(self.queue(queue, "getJobCounts"))

    def ids(self, queue: str, *states: str) -> list[str]:
        """Return the ids of the jobs in `states`, sorted."""
        return sorted(self.tell("ids", queue=queue, states=states))

    def until_idle(self, queue: str, within_s: float = 30) -> None:
        """Wait until no job of `queue` waits or is active."""
        ends = time.monotonic() + within_s
        busy = ("waiting", "active", "prioritized", "delayed", "paused")
        while any((counts := self.counts(queue)).get(state) for state in busy):
            assert time.monotonic() < ends, f"{queue} is still busy: {counts}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.communicate()
