"""Follow a page of docs/extend to the letter: write its files, run its commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(
    r"^```(?P<language>bash|python|toml|markdown)(?: title=\"(?P<title>[^\"]*)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_BIN = Path(sys.executable).parent
_DRILL_LIMIT_S = 300


def files_of(page: Path) -> set[str]:
    """Return the files that a reader of `page` writes."""
    blocks = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return {block["title"].partition(", ")[0] for block in blocks if block["title"]}


@dataclass
class Reader:
    """Somebody who does what the pages say, one after the other."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """What each command printed."""

    def follow(self, page: Path) -> None:
        """Do everything that `page` says. Raises AssertionError at the first command that fails."""
        for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            if block["language"] == "bash":
                for line in block["text"].splitlines():
                    self.type(line)
            elif block["title"]:
                self.write(block["title"], block["text"])

    def type(self, line: str) -> None:
        """Type a command; a finding that is not ok is no failure of `opsnb run`."""
        if line.startswith("cd "):
            self.folder /= line.removeprefix("cd ")
            return
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode <= (3 if line.startswith("opsnb run ") else 0), (line, done.stdout)
        self.said.append(done.stdout)

    def write(self, title: str, text: str) -> None:
        """Write a file, or what the title says of it."""
        name, _, where = title.partition(", ")
        path = self.folder / name
        if cell := re.fullmatch(r"cell (\d+)", where):
            notebook = json.loads(path.read_text())
            notebook["cells"][int(cell[1]) - 1]["source"] = text.strip()
            path.write_text(json.dumps(notebook))
        elif where:
            words = where.removeprefix("in place of the line with ")
            lines = path.read_text().splitlines(keepends=True)
            (number,) = (number for number, line in enumerate(lines) if words in line)
            lines[number] = text
            path.write_text("".join(lines))
        else:
            path.write_text(text)


def practise(folder: Path, fault: str, fix: Callable[[], object], path: str = "") -> None:
    """Hold a drill in `folder`, with the programs of `path` first, and `fix` what it broke."""
    environment = {**os.environ, "PATH": f"{path or _BIN}:{os.environ['PATH']}"}
    drill = subprocess.Popen(
        ["python3", "-m", "opsnb", "drill", fault, "--json"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    flag = Path(os.environ["OPSNB_DEMO_HOME"], "faults", fault)
    ends = time.monotonic() + _DRILL_LIMIT_S
    while not flag.exists() and drill.poll() is None and time.monotonic() < ends:
        time.sleep(0.1)
    assert flag.exists(), drill.poll()
    fix()
    told, _ = drill.communicate(timeout=_DRILL_LIMIT_S)
    assert drill.returncode == 0, told
    assert json.loads(told)["runbook"] == f"drill/{fault}"
