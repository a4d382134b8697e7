"""Login shells that greet, cut off, refuse, or speak another language."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, Unreachable
from opsnb.model import Status
from opsnb.systems import host
from opsnb.systems.host import ProgramFailed, ProgramMissing, host_of
from tests.systems.ssh_stand_in import stand_in

GREETINGS = {
    "a line": "echo 'Welcome to app-1. Patch day is Tuesday.'",
    "no end of line": "printf 'app-1> '",
    "colours": r"printf '\033[1;32mapp-1\033[0m\r\n'; tput bold 2>/dev/null",
    "the error stream": "echo 'stty: standard input: Inappropriate ioctl for device' >&2",
    "both, and again at the end": "trap 'echo Bye' EXIT; echo 'Last login: Mon'; echo fatal >&2",
    "what it runs": "set -x; exec 3>&1; BASH_XTRACEFD=3",
    "a list": "echo '[]'; echo '{}'",
}


@pytest.mark.parametrize("before", GREETINGS.values(), ids=GREETINGS.keys())
def test_a_greeting_is_read_past(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = stand_in(tmp_path / "bin", monkeypatch, before=before, instead='sh -c "$sent"')
    assert host_of(far).run(["printf", "%s", "the answer"]) == "the answer"
    assert host_of(far).run(["true"]) == ""
    with pytest.raises(ProgramFailed, match=r"failed: it is broken\.$"):
        host_of(far).run(["sh", "-c", "echo it is broken >&2; exit 255"])
    assert host.reachable(far).status is Status.OK
    assert host.disk(far).rows
    assert (
        host.memory(far).rows[0]["size_bytes"]
        == host.memory(Target(name="t")).rows[0]["size_bytes"]
    )
    assert host.cpu(far).value is not None


def test_an_answer_that_ends_early_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = stand_in(tmp_path / "bin", monkeypatch, instead='sh -c "$sent" | head -c 60')
    with pytest.raises(BadAnswer, match="ended early"):
        host_of(far).run(["seq", "100"])
    lost = (
        'sh -c "$sent" | head -c 60; echo "client_loop: send disconnect: Broken pipe" >&2; exit 255'
    )
    far = stand_in(tmp_path / "bin", monkeypatch, instead=lost)
    with pytest.raises(Unreachable, match="was lost: client_loop: send disconnect"):
        host_of(far).run(["seq", "100"])


def test_a_shell_that_runs_nothing_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = stand_in(
        tmp_path / "bin",
        monkeypatch,
        instead="echo 'This account is currently not available.'; exit 1",
    )
    with pytest.raises(Misconfigured, match="'This account is currently not available"):
        host.reachable(far)


# As OpenSSH 9.2 prints them.
FAULTS = {
    "ops@box: Permission denied (publickey,password).": "Put a key",
    "Host key verification failed.": "accept its host key",
    "ssh: Could not resolve hostname box: Name or service not known": "Correct the name in host",
    "Received disconnect from 10.0.0.1: Too many authentication failures": "IdentitiesOnly",
    "Unable to negotiate with 10.0.0.1: no matching host key type found.": "Correct host",
}


@pytest.mark.parametrize(("said", "fix"), FAULTS.items())
def test_a_login_that_cannot_work_is_a_matter_of_configuration(
    said: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    banner = "echo '*** Unauthorized use is a fatal error ***' >&2"
    far = stand_in(
        tmp_path / "bin", monkeypatch, before=banner, instead=f"echo '{said}' >&2; exit 255"
    )
    with pytest.raises(Misconfigured, match=fix) as raised:
        host.reachable(far)
    assert said.rstrip(".") in str(raised.value)


@pytest.mark.parametrize(
    "said",
    [
        "ssh: connect to host box port 22: Connection refused",
        "ssh: connect to host box port 22: No route to host",
        "kex_exchange_identification: Connection closed by remote host",
        "ssh: Could not resolve hostname box: Temporary failure in name resolution",
    ],
)
def test_a_machine_that_is_away_is_unreachable(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    banner = "echo 'Through jump-1. Errors are logged.' >&2"
    far = stand_in(
        tmp_path / "bin", monkeypatch, before=banner, instead=f"echo '{said}' >&2; exit 255"
    )
    with pytest.raises(Unreachable) as raised:
        host.reachable(far)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("sudo: a password is required", "NOPASSWD"),
        ("sudo: a terminal is required to read the password", "NOPASSWD"),
        ("Failed to restart app.service: Interactive authentication required.", "put sudo before"),
        (
            "permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock",
            "group docker",
        ),
        (
            "System has not been booted with systemd as init system (PID 1). Can't operate.",
            "manager",
        ),
        ("Failed to connect to bus: No medium found", "XDG_RUNTIME_DIR"),
    ],
)
def test_a_right_that_is_missing_is_a_matter_of_configuration(said: str, fix: str) -> None:
    with pytest.raises(Misconfigured, match=fix):
        host_of(Target(name="t")).run(["sh", "-c", f'echo "{said}" >&2; exit 1'])


def test_programs_that_are_read_speak_plain_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    far = stand_in(tmp_path / "bin", monkeypatch)
    for at in (far, Target(name="t")):
        told = host_of(at).run(["sh", "-c", "echo $LC_ALL $HOME2"], env={"HOME2": "a b"})
        assert told == "C a b\n"
        assert host_of(at).do(["sh", "-c", "echo $LC_ALL"]) == "de_DE.UTF-8\n"
    with pytest.raises(ProgramMissing, match="no-such-program"):
        host_of(far).run(["no-such-program"])


def test_files_of_the_kernel_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = stand_in(tmp_path / "bin", monkeypatch, before="echo hello")
    (tmp_path / "one").write_text("1\n")
    (tmp_path / "two words").write_text("no end of line")
    paths = [str(tmp_path / name) for name in ("one", "none", "two words")]
    there, here = host_of(far).texts(paths), host_of(Target(name="t")).texts(paths)
    assert list(there) == list(here) == [paths[0], paths[2]]
    assert [text.strip() for text in there.values()] == [text.strip() for text in here.values()]


@pytest.mark.parametrize("before_s", [0.02, 0.15, 0.5])
def test_an_interrupt_is_one_however_soon_the_program_ends(before_s: float) -> None:
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()

    def run() -> None:
        host_of(Target(name="t")).run(["sleep", str(0.1 + before_s)])
        threading.Event().wait(1)  # should the program have ended first, it comes here

    with pytest.raises(KeyboardInterrupt):
        run()
