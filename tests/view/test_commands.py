"""Commands to paste: a shell reads back what was meant, and they are found in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsnb.config.target import Target
from opsnb.model import Remedy
from opsnb.view import commands, terminal

BASH = shutil.which("bash")
NAMES = ["emails", "a b", "it's", 'say "x"', "$HOME", "a;b", "`id`", "!1", "x.", "a\nb", "\x1b[2J",
         "caf\u00e9", "\u202edlo", "", "*", "~", "a\\b", "#x"]  # fmt: skip


def read_back(line: str) -> list[str]:
    """Return the words that a shell makes of `line`."""
    assert BASH
    script = f"opsnb() {{ printf '%s\\0' \"$@\"; }}\n{line}\n"
    done = subprocess.run([BASH, "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.skipif(BASH is None, reason="no bash")
@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_back_what_was_meant(name: str) -> None:
    line = commands.run_on("queues/pause", "prod", {"queue": name}, apply=True, confirm="prod")
    assert "\n" not in line
    assert terminal.visible(line) == line
    assert read_back(line) == ["run", "queues/pause", "-t", "prod", "-p", f"queue={name}",
                               "--apply", "--confirm", "prod"]  # fmt: skip


@pytest.mark.skipif(BASH is None, reason="no bash")
@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_a_shell_reads_back_any_text(text: str) -> None:
    assert read_back(commands.line("show", text)) == ["show", text]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_found_in_a_sentence(name: str) -> None:
    target = Target(name="prod", protected=True)
    line = commands.run("queues/pause", target, apply=True, queue=name, hours=2)
    assert line.endswith(" -p hours=2 --apply --confirm prod")
    pieces = list(commands.pieces(f"Queue is full. To pause it: {line}. Then wait."))
    assert pieces == [("Queue is full. To pause it:", False), (line, True), ("Then wait.", False)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("begin again with: opsnb demo down, opsnb demo up", ["opsnb demo down", "opsnb demo up"]),
        ("see opsnb.toml, or `opsnb` itself; opsnb runs it", []),
        (
            "Continue it: opsnb run --resume 20261128T1-x, or go",
            ["opsnb run --resume 20261128T1-x"],
        ),
        ("fix: opsnb run a/b -t x -p n=..., or not", ["opsnb run a/b -t x -p n="]),
        ("opsnb doctor -t prod.", ["opsnb doctor -t prod"]),
        ("The words opsnb run are no command.", []),
    ],
)
def test_what_counts_as_a_command(text: str, found: list[str]) -> None:
    assert [piece.text for piece in commands.pieces(text) if piece.is_command] == found


def test_a_configuration_that_was_named_is_named_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remedy = Remedy(runbook="queues/resume", parameters={"queue": "a b"}, apply=True)
    assert remedy.on(Target(name="x")).command == (
        "opsnb run queues/resume -t x -p 'queue=a b' --apply"
    )
    monkeypatch.setenv(commands.CONFIG, str(tmp_path / "my ops.toml"))
    command = remedy.on(Target(name="x", protected=True)).command
    assert command.startswith(f"opsnb --config '{tmp_path}/my ops.toml' run queues/resume -t x ")
    assert command.endswith(" --apply --confirm x")
    assert [piece.is_command for piece in commands.pieces(f"So: {command}")] == [False, True]


def test_json_stays_json_with_what_nobody_sees() -> None:
    text = json.dumps("\u200b\u202e\U000e0041\x7f", ensure_ascii=False)
    assert json.loads(terminal.visible(text)) == "\u200b\u202e\U000e0041\x7f"
    assert terminal.one_line("a\nNext: rm") == "a\\nNext: rm"
