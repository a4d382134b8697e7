"""What the shell completes, asked as the shells ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opsnb.cli import completion
from opsnb.demo import faults
from tests.records.test_store import make_result

OPSNB = str(Path(sys.executable).with_name("opsnb"))
HEAVY = ("papermill", "pandas", "matplotlib", "IPython", "psycopg", "httpx", "redis", "bullmq",
         "nbformat", "rich")  # fmt: skip


def completed(*words: str, shell: str = "bash") -> list[str]:
    """Return what completes the last of `words`."""
    line = " ".join(words)
    asked = {"_OPSNB_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line,
             "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    done = subprocess.run([OPSNB], env={**os.environ, **asked}, capture_output=True, text=True,
                          check=False, timeout=60)  # fmt: skip
    assert done.stderr == ""
    return [
        entry.split("\t")[0] for entry in done.stdout.splitlines() if entry
    ]  # behind it its help


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_names_are_completed(shell: str) -> None:
    Path("opsnb.toml").write_text("[targets.shop-a]\n[targets.shop-b]\n[targets.prod]\n")
    folder = Path(os.environ["OPSNB_RECORDS"], "2026", "11", make_result().run_id)
    folder.mkdir(parents=True)
    for words, expected in (
        (("dem",), ["demo"]),
        (("run", "queues/p"), ["queues/pause"]),
        (("open", "health/"), ["health/daily"]),
        (("run", "health/daily", "-t", "sh"), ["shop-a", "shop-b"]),
        (("doctor", "-t", "p"), ["prod"]),
        (("run", "queues/clean_failed", "-p", "ol"), ["older_than="]),
        (("run", "queues/clean_failed", "-t", "prod", "-p", "limit=3", "-p", "ol"),
         ["older_than="]),
        (("records", "show", "la"), ["latest"]),
        (("records", "show", "2026"), [folder.name]),
        (("run", "--resume", "2026"), [folder.name]),
        (("drill", "queue-p"), ["queue-paused"]),
        (("demo", "fault", "log"), ["log-errors"]),
        (("run", "x/unknown", "-p", "a"), []),
    ):  # fmt: skip
        assert completed("opsnb", *words, shell=shell) == expected, words


def test_zsh_is_answered_too() -> None:
    assert (
        completed("opsnb", "drill", "queue-p", shell="zsh")[-1]
        == "_arguments '*: :((\"queue-paused\"))'"
    )


def test_an_unusable_configuration_completes_nothing_and_says_nothing() -> None:
    Path("opsnb.toml").write_text("[targets.\n")
    assert completed("opsnb", "doctor", "-t", "p") == []
    assert completed("opsnb", "records", "show", "2") == []


def test_every_fault_is_known() -> None:
    assert set(completion.faults("")) == set(faults.FAULTS)


@pytest.mark.parametrize("words", ["opsnb run qu", "opsnb run queues/pause -p q", "opsnb drill q"])
def test_completion_imports_nothing_heavy(words: str) -> None:
    script = (
        "import sys\nfrom opsnb.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    asked = {"_OPSNB_COMPLETE": "complete_bash", "COMP_WORDS": words,
             "COMP_CWORD": str(len(words.split()) - 1)}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **asked},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stderr.strip() == "[]"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_a_line_and_leaves_no_blank_behind_a_name() -> None:
    shown = subprocess.run([OPSNB, "--show-completion", "bash"], env={**os.environ,
                           "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    function = shown.split("()")[0].strip()
    script = (
        f"{shown}\ncompopt() {{ echo compopt \"$@\"; }}\n"
        "COMP_WORDS=(opsnb run queues/clean_failed -p old); COMP_CWORD=4\n"
        f"{function} {OPSNB}; echo \"${{COMPREPLY[@]}}\"\n"
        "COMP_WORDS=(opsnb run queues/pau); COMP_CWORD=2\n"
        f"{function} {OPSNB}; echo \"${{COMPREPLY[@]}}\"\n"
    )  # fmt: skip
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["compopt -o nospace", "older_than=", "queues/pause"]
