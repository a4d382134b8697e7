"""The command line on a terminal of 80 columns and 24 lines: what stands there at the end."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect
import pytest

from opsnb.config.target import Target
from opsnb.demo import faults
from opsnb.headless.locks import held
from opsnb.records.store import Store
from opsnb.systems.api.settings import Api
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from opsnb.systems.logs.settings import Logs
from tests.records.test_store import make_result

OPSNB = str(Path(sys.executable).with_name("opsnb"))
LINES, COLUMNS = 24, 80
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Screen:
    """As much of a terminal as a single run uses; anything else fails the test."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.rows: list[str] = [""]
        self.row = self.column = 0

    def feed(self, raw: str) -> None:
        for sign in COLOUR.sub("", raw):
            self._put(sign)

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self.column = 0
        elif sign == "\n" or self.column == self.columns:
            self.row += 1
            self.rows += [""] * (self.row - len(self.rows) + 1)
            self.column = 0 if sign != "\n" else self.column
        if sign not in "\r\n":
            assert sign >= " ", f"opsnb wrote {sign!r}"
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + sign + row[self.column + 1 :]
            self.column += 1

    @property
    def seen(self) -> list[str]:
        """What is on the screen, without empty lines at the end."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n").split("\n")[-self.lines :]


def typed(
    *arguments: str, columns: int = COLUMNS, environ: Mapping[str, str] | None = None
) -> pexpect.spawn[str]:
    """Return opsnb as it runs on a terminal."""
    return pexpect.spawn(
        OPSNB,
        list(arguments),
        dimensions=(LINES, columns),
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
    )


def ended(child: pexpect.spawn[str], columns: int = COLUMNS) -> tuple[Screen, str, int]:
    """Return the screen when `child` has ended, what it wrote since it was last looked at, and
    its exit code."""
    child.expect(pexpect.EOF)
    raw = str(child.before)
    child.close()
    screen = Screen(columns, LINES)
    screen.feed(raw)
    assert child.exitstatus is not None
    return screen, raw, child.exitstatus


@pytest.fixture
def protected(demo: Target) -> str:
    """A protected target, the demo under another name, beside a second one."""
    logs = ", ".join(f'"{log}"' for log in Logs.of(demo).files)
    Path("opsnb.toml").write_text(
        f'[targets.prod]\nprotected = true\napi_url = "{Api.of(demo).url}"\nlogs = [{logs}]\n'
        f'redis_url = "{Cache.of(demo).url}"\ndatabase_url = "{Database.of(demo).url}"\n'
        "[targets.prod.thresholds]\nqueue_waiting = { warn = 50, crit = 100 }\n"
        '[targets.other]\nredis_url = "redis://127.0.0.1:9"\n'
    )
    return "prod"


@pytest.mark.parametrize("columns", [40, 80])
def test_the_worst_finding_and_its_whole_command_stand_last(protected: str, columns: int) -> None:
    faults.inject("queue-paused")
    arguments = ["run", "troubleshooting/high_queue_length", "-t", protected]
    screen, raw, code = ended(
        typed(*arguments, "-p", "queue=ai-analysis", columns=columns), columns
    )
    assert code == 2, raw
    command = f"opsnb run queues/resume -t {protected} -p queue=ai-analysis --apply --confirm prod"
    assert f"\n  {command}\r\n" in COLOUR.sub("", raw)
    shown = "".join(screen.seen[-4:])
    assert shown.endswith(command)
    last = " ".join(" ".join(screen.seen[-10:]).split())
    assert re.search(r"CRIT .*ai-analysis", last)
    assert "Next:" in last


def test_a_refusal_says_the_whole_command_last(protected: str) -> None:
    screen, _, code = ended(
        typed("run", "queues/pause", "-t", protected, "-p", "queue=exports", "--apply")
    )
    assert code == 77
    assert "".join(screen.seen[-2:]).endswith(
        "opsnb run queues/pause -t prod -p queue=exports --apply --confirm prod"
    )
    assert any(line.startswith("Refused") for line in screen.seen[-6:])


def test_a_run_shows_where_it_is_and_leaves_a_clean_terminal(demo: Target) -> None:
    child = typed("run", "monitoring/queue_watch", "-t", "demo", "-p", "minutes=5")
    child.expect("Queue length: .*ai-analysis")
    child.expect(r"\d+ s of at most ")
    child.sendintr()
    screen, _, code = ended(child)
    assert code in (0, 130)  # the watch ends in order, and so may the run
    assert not [line for line in screen.seen if "Ctrl-C" in line]


def test_a_wait_says_for_whom_and_for_how_long(protected: str) -> None:
    run = make_result(runbook="cache/warm_up", target=protected, operator="ann")
    arguments = ["run", "queues/resume", "-t", protected, "--apply", "--confirm", protected, "-p",
                 "queue=exports"]  # fmt: skip
    with held(Store(os.environ["OPSNB_RECORDS"]), protected, run, limit_s=600):
        screen, _, code = ended(typed(*arguments))
        assert code == 75
        assert "ann" in " ".join(screen.seen)
        assert "".join(screen.seen[-2:]).endswith("-p queue=exports --wait 600")
        waiting = typed(*arguments, "--wait", "100")
        waiting.expect(r"Waiting for prod: ann is running cache/warm_up on [^.]* at most\s+10 min")
        waiting.expect(r"Waited 1 s of 1 min 40 s")
        waiting.sendintr()
        screen, _, code = ended(waiting)
    assert code == 130
    assert not [line for line in screen.seen if line.startswith("Waited")]


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_plain_terminal_gets_no_colours(environ: dict[str, str]) -> None:
    Path("opsnb.toml").write_text('[targets.x]\nredis_url = "redis://127.0.0.1:9"\n')
    child = typed("run", "cache/health", "-t", "x", environ=environ)
    child.expect(pexpect.EOF)
    written = str(child.before)
    assert "Redis" in written
    allowed = (
        r"\x1b\[(\d*[AK]|\?25[hl]|[012]?m)" if environ.get("NO_COLOR") else "$^"
    )  # bold is no colour
    assert "\x1b" not in re.sub(allowed, "", written)


def test_help_is_whole_at_80_columns() -> None:
    screen, raw, code = ended(typed())
    assert code == 0
    assert "..." not in raw.replace("[ARGS]...", "")
    assert "the exit code is that of" in raw
    assert screen.seen[-1].startswith("  interrupted.")


def test_what_protected_targets_refuse_says_the_whole_command(protected: str) -> None:
    child = typed("run", "cache/warm_up", "-t", "all", "--apply")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 77
    command = f"opsnb run cache/warm_up -t all --apply --confirm {protected}"
    assert str(child.before).rstrip().endswith(f"Next:\r\n  {command}")
