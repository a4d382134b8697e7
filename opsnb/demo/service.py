"""The sample service of the demo stack: two processes under a pm2 of its own."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from opsnb.demo import node, processes
from opsnb.demo.home import Home, Settings, free_port, port_is_free, tail, write_private
from opsnb.demo.node import App
from opsnb.demo.releases import Releases
from opsnb.errors import DemoError

API = "app"
WORKER = "worker"
PM2 = "pm2"

START_LIMIT_S = 60.0
STOP_GRACE_S = 5.0
PM2_LIMIT_S = 30.0
HEALTH_LIMIT_S = 5.0

# So many processes that ended within a start mean that it dies as soon as it is started.
CRASH_LOOP = 3


@dataclass(frozen=True)
class Service:
    """The API, the worker and their pm2 daemon."""

    home: Home
    settings: Settings
    app: App

    @property
    def releases(self) -> Releases:
        """Where the running code comes from."""
        return Releases(self.home)

    @property
    def log(self) -> Path:
        """The one log of both processes, with what pm2 catches of their output."""
        return self.home.logs / "app.log"

    @property
    def access_log(self) -> Path:
        """The requests that the API answered."""
        return self.home.access_logs / "access.log"

    @property
    def pm2_log(self) -> Path:
        """What pm2's command line said."""
        return self.home.logs / "pm2.log"

    def start(self, names: Sequence[str]) -> None:
        """Start the processes `names`, and restart those that run.

        Raises DemoError when one does not come up.
        """
        self.releases.prepare(self.app)
        if not running(self.home, PM2):
            # Orphans of a pm2 daemon that was killed would hold the port.
            stop(self.home)
        if (
            API in names
            and not running(self.home, API)
            and not port_is_free(self.settings.api_port)
        ):
            self.settings.api_port = free_port()
            self.settings.save(self.home)
        self._describe()
        self._pm2("startOrRestart", str(self._ecosystem), "--only", ",".join(names))
        for name in names:
            self._await(name)

    def is_unusable(self) -> bool:
        """Return whether pm2 hangs, or runs another build of the service than this one."""
        found = all_running(self.home)
        scripts = (processes.environment(process).get("pm_exec_path") for process in found)
        return (
            any(map(processes.is_stopped, running(self.home, PM2)))
            or (bool(found) and not self.releases.is_of(self.app))
            or any(
                script and not script.startswith(f"{self.releases.folder}/") for script in scripts
            )
        )

    def build(self) -> None:
        """Build what is in the working copy. Raises DemoError."""
        compiler = self.releases.folder / "node_modules" / "typescript" / "bin" / "tsc"
        done = subprocess.run(
            [self.app.node, compiler],
            cwd=self.releases.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"The release cannot be built: {done.stdout.strip()[-300:]}")

    def deploy(self) -> dict[str, object]:
        """Return how a release is deployed, as `[targets.demo.deploy]` has it."""
        if not self.releases.has_history:
            return {}
        # npm's scripts start node by its name.
        path = f"PATH={self.app.node.parent}:/usr/local/bin:/usr/bin:/bin"
        npm = ["env", path, f"SERVICE_SETTINGS={self._service_settings}", *node.find_node().npm]
        return {
            "folder": str(self.releases.folder),
            "migrate": [*npm, "run", "db:push"],
            # All that it depends on is there already; the registry is not asked.
            "install": [
                *npm,
                "install",
                "--offline",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ],
            "build": [*npm, "run", "build"],
            "restart": [str(self.home.pm2_command), "restart", "all"],
            "smoke": [*npm, "run", "test:smoke"],
            "limit_s": 60,
        }

    def halt(self, name: str) -> None:
        """Stop one process as an operator would; pm2 keeps it listed as stopped."""
        self._pm2("stop", name)

    def push_schema(self) -> None:
        """Create or migrate the schema, with rows in an empty one. Raises DemoError."""
        self._describe()
        log = self.home.logs / "db-push.log"
        environment = processes.clean_environment() | {
            "SERVICE_SETTINGS": str(self._service_settings)
        }
        with log.open("ab") as output:
            done = subprocess.run(
                [self.app.node, "dist/push.js"],
                cwd=self.app.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0:
            raise DemoError(
                f"The service's schema could not be created; the cause is in {log}:{tail(log)}"
            )

    def _await(self, name: str) -> None:
        seen: set[int] = set()
        gone: set[int] = set()

        def settled() -> bool:
            found = {process.pid for process in running(self.home, name)}
            seen.update(found)
            gone.update(seen - found)
            ready = answers(self.settings) if name == API else self._worker_is_ready()
            return ready or len(gone) >= CRASH_LOOP

        if not processes.wait_until(settled, START_LIMIT_S) or len(gone) >= CRASH_LOOP:
            raise DemoError(
                f"The service's process '{name}' did not start; "
                f"the cause is in {self.log}:{tail(self.log)}"
            )

    def _worker_is_ready(self) -> bool:
        try:
            ready = int(self._ready_file.read_text())
        except (FileNotFoundError, ValueError):
            return False
        return any(process.pid == ready for process in running(self.home, WORKER))

    @property
    def _service_settings(self) -> Path:
        return self.home.service / "settings.json"

    @property
    def _ready_file(self) -> Path:
        return self.home.service / "worker.pid"

    @property
    def _ecosystem(self) -> Path:
        return self.home.service / "ecosystem.config.json"

    def _describe(self) -> None:
        """Write what the service, pm2 and the pm2 command read."""
        write_private(
            self._service_settings,
            json.dumps(
                {
                    "port": self.settings.api_port,
                    "redisUrl": self.settings.redis_url,
                    "databaseUrl": self.settings.database_url,
                    "logFile": str(self.log),
                    "accessLogFile": str(self.access_log),
                    "faultsFolder": str(self.home.faults),
                    "quietFile": str(self.home.quiet),
                    "readyFile": str(self._ready_file),
                }
            ),
        )
        apps = [
            {
                "name": name,
                "script": str(self.releases.folder / "dist" / f"{name}.js"),
                "cwd": str(self.home.service),
                "interpreter": str(self.app.node),
                "node_args": ["--max-old-space-size=256"],
                "env": {
                    "NODE_ENV": "production",
                    "SERVICE_SETTINGS": str(self._service_settings),
                },
                "out_file": str(self.log),
                "error_file": str(self.log),
                "merge_logs": True,
                "pmx": False,
                "vizion": False,
                "kill_timeout": 3000,
                "exp_backoff_restart_delay": 100,
            }
            for name in (API, WORKER)
        ]
        write_private(self._ecosystem, json.dumps({"apps": apps}, indent=2))
        script = self.app.folder / "dist" / "pm2.js"
        write_private(
            self.home.pm2_command,
            "#!/bin/sh\n"
            f"export PM2_HOME={shlex.quote(str(self.home.pm2))}\n"
            "export PM2_DISABLE_VERSION_CHECK=true\n"
            f'export PATH={shlex.quote(str(self.app.node.parent))}:"$PATH"\n'
            f'exec {shlex.quote(str(self.app.node))} {shlex.quote(str(script))} "$@"\n',
            mode=0o700,
        )

    def _pm2(self, *arguments: str) -> None:
        """Run pm2's own command line, which starts the daemon when there is none."""
        environment = processes.clean_environment() | {
            "PM2_HOME": str(self.home.pm2),
            "PM2_DISABLE_VERSION_CHECK": "true",
        }
        command = self.app.folder / "node_modules" / "pm2" / "bin" / "pm2"
        try:
            with self.pm2_log.open("ab") as output:
                subprocess.run(
                    [self.app.node, command, *arguments],
                    cwd=self.home.service,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=True,
                    timeout=PM2_LIMIT_S,
                )
        except subprocess.SubprocessError:
            raise DemoError(
                f"pm2 could not {arguments[0]} the service; "
                f"the cause is in {self.pm2_log}:{tail(self.pm2_log)}"
            ) from None


def stop(home: Home) -> None:
    """End both processes and the pm2 daemon."""

    def gently(found: Sequence[psutil.Process]) -> None:
        daemon = running(home, PM2)
        # First the one that would start the others again.
        processes.send(daemon, signal.SIGKILL)
        processes.send([process for process in found if process not in daemon], signal.SIGTERM)

    processes.stop(lambda: all_running(home), gently, STOP_GRACE_S)


def all_running(home: Home) -> list[psutil.Process]:
    """Return every process of the service, the pm2 daemon too."""
    return [process for name in (PM2, API, WORKER) for process in running(home, name)]


def running(home: Home, name: str) -> list[psutil.Process]:
    """Return the processes of one name: the API, the worker, or the pm2 daemon."""

    def matches(words: list[str]) -> bool:
        title = " ".join(words)
        is_daemon = title.startswith("PM2 v") or title.endswith("/pm2/lib/Daemon.js")
        return is_daemon if name == PM2 else "node" in title

    def ours(process: psutil.Process) -> bool:
        environment = processes.environment(process)
        known = name == PM2 or (environment.get("name") == name and "pm_id" in environment)
        return known and environment.get("PM2_HOME") == str(home.pm2)

    return [process for process in processes.by_command_line(matches) if ours(process)]


def health(settings: Settings) -> dict[str, str] | None:
    """Return what the API says of its dependencies, or None when it does not respond."""
    try:
        answer = httpx.get(f"{settings.api_url}/health", timeout=HEALTH_LIMIT_S, trust_env=False)
        answer.raise_for_status()
        known: dict[str, str] = answer.json()["dependencies"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return known


def answers(settings: Settings) -> bool:
    """Return whether the API answers within five seconds."""
    return health(settings) is not None
