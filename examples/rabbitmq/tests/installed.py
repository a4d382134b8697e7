"""opsnb and this package, installed from their wheels, and how a test uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parent.parent
OPSNB = EXAMPLE.parent.parent


@dataclass(frozen=True)
class Site:
    """A place to operate from: an environment, an `opsnb.toml` and its records."""

    environment: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables of each command."""

    def configure(self, **targets: dict[str, Any]) -> None:
        """Write `opsnb.toml` with these targets."""
        lines = []
        for name, table in targets.items():
            lines.append(f"[targets.{name}]")
            # An inline table of TOML is JSON with other signs between key and value.
            lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
        (self.folder / "opsnb.toml").write_text("\n".join(lines) + "\n")

    def opsnb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of opsnb, and return how it ended."""
        return self.call("opsnb", *words)

    def run(self, *words: str) -> Result:
        """Run a runbook and return its result."""
        ended = self.opsnb("run", *words, "--json")
        assert ended.stdout, ended.stderr
        return Result(ended.returncode, json.loads(ended.stdout))

    def evaluate(self, expression: str, *, imports: str) -> str:
        """Return what an expression of Python prints in the environment."""
        ended = self.call("python", "-c", f"import {imports}\nprint({expression})")
        assert not ended.returncode, ended.stderr
        return ended.stdout.strip()

    def call(
        self, program: str, *words: str, folder: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, in `folder` or beside `opsnb.toml`."""
        return subprocess.run(
            [self.environment / "bin" / program, *words],
            cwd=folder or self.folder,
            env=self._environment() | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, program: str, *words: str) -> subprocess.Popen[str]:
        """Start a program of the environment beside `opsnb.toml`."""
        return subprocess.Popen(
            [self.environment / "bin" / program, *words],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        names = ("PATH", "HOME", "LANG", "TMPDIR")
        return {name: os.environ[name] for name in names if name in os.environ} | self.variables


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    exit_code: int
    written: dict[str, Any]

    def finding(self, name: str) -> dict[str, Any]:
        """Return its last finding of that name."""
        found: list[dict[str, Any]] = [
            each for each in self.written["findings"] if each["name"] == name
        ]
        return found[-1]

    @property
    def action(self) -> dict[str, Any]:
        """Its only action."""
        (found,) = self.written["actions"]
        assert isinstance(found, dict)
        return found


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def install(folder: Path) -> Path:
    """Return a virtual environment in `folder` with the two wheels, installed without a network.

    What they depend on it borrows from the environment that runs the tests; opsnb itself and this
    package stand before that.
    """
    for project in (OPSNB, EXAMPLE):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    wheels = map(str, folder.glob("*.whl"))
    options = ("--quiet", "--no-index", "--no-deps", "--no-compile")
    subprocess.run([python, "-m", "pip", "install", *options, *wheels], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment
