"""Text from outside is cleaned before it is changed: no part of a secret is left at any cut."""

from __future__ import annotations

import base64
import json
import re
import shutil
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mypy import api as mypy

from opsnb.checks.check import check
from opsnb.config.target import Target
from opsnb.model import Finding, Remedy, Status
from opsnb.redaction import MASK, outside
from opsnb.systems.queues import connection
from opsnb.systems.queues.values import read_fields
from opsnb.view.commands import MASKED, noted
from tests.systems import redis_server

SECRET = "kVwTq7RbZmXoLd3PfGhYsNcJ9aEuWi"
ENTRY = "-----BEGIN " + "PRIVATE KEY-----\n" + "Qm9yaXM\n" * 40

CUTS: dict[str, Callable[[str, int], str]] = {
    "shortened": outside.shortened,
    "head": outside.head,
    "tail": outside.tail,
    "first line": outside.first_line,
    "last line": outside.last_line,
    "one line": outside.one_line,
    "pattern": lambda text, _: outside.pattern(text),
}


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with outside.reading([SECRET]):
        yield


def parts(secret: str) -> set[str]:
    """Return what would tell something of `secret`, also of its form without digits."""
    forms = (secret, re.sub(r"\d+", "#", secret))
    return {form[at : at + 6] for form in forms for at in range(len(form) - 5)}


def left(text: str, secret: str = SECRET) -> list[str]:
    return [part for part in parts(secret) if part in text]


@pytest.mark.parametrize("cut", CUTS)
def test_no_cut_leaves_a_part_of_a_secret(cut: str) -> None:
    for before in range(0, 420, 3):
        text = "x" * before + " " + SECRET + " " + "y" * 300
        assert not left(CUTS[cut](text, 160)), (cut, before)


@settings(max_examples=200, deadline=None)
@given(
    st.text(string.printable, max_size=200),
    st.text(string.printable, max_size=9000),
    st.integers(4, 400),
)
def test_no_cut_of_any_text_leaves_a_part(before: str, after: str, most: int) -> None:
    for cut in CUTS.values():
        with outside.reading([SECRET]):
            assert not left(cut(before + SECRET + after, most))


@pytest.mark.parametrize("inside", range(6, len(SECRET)))
def test_what_was_cut_where_it_was_read_keeps_no_part(inside: int) -> None:
    begun, ended = f"login as {SECRET[:inside]}", f"{SECRET[-inside:]} was refused"
    assert outside.opened(begun) == f"login as {MASK}"
    assert outside.opened(ended, start=True, end=False) == f"{MASK} was refused"
    assert outside.ended(f"name_{SECRET[:inside]}") == f"name_{MASK}"


def test_a_few_letters_of_a_secret_are_no_secret() -> None:
    assert outside.opened(f"login as {SECRET[:5]}") == f"login as {SECRET[:5]}"
    assert outside.ended(SECRET) == SECRET  # whole, so that it still names what it names


@pytest.mark.parametrize(
    "written",
    [
        lambda secret: quote(secret, safe=""),
        lambda secret: json.dumps(secret)[1:-1],
        lambda secret: secret.replace("'", "''"),
        lambda secret: secret.encode().hex(),
        lambda secret: base64.b64encode(b"user:" + secret.encode()).decode()[8:],
    ],
)
def test_encoded_and_cut_it_keeps_no_part(written: Callable[[str], str]) -> None:
    secret = "pa's/w\"ord:" + SECRET
    form = written(secret)
    with outside.reading([secret]):
        for inside in range(12, len(form) - 4):
            assert not left(outside.opened(f"got {form[:inside]}"), form[:inside])


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app:hunter2hunt",
        "login with gh" + "p_aB3dE5gH",
        "got ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWI",
        "password='correct hors",
        ENTRY.rstrip(),
    ],
)
def test_a_shape_that_was_cut_open_is_masked(text: str) -> None:
    shown = outside.opened(text)
    assert MASK in shown
    assert not any(word in shown for word in ("hunter", "aB3dE5", "hbGciO", "hors", "Qm9yaXM"))


def test_a_long_text_is_not_cleaned_whole() -> None:
    huge = f"boom {SECRET} " + "z" * 50_000_000
    assert outside.shortened(huge, 60).startswith(f"boom {MASK} zzz")


def test_messages_that_differ_in_a_secret_are_alike() -> None:
    one, two = f"job 1 of {SECRET} failed", f"job 27 of {SECRET} failed"
    assert outside.pattern(one) == outside.pattern(two) == f"job # of {MASK} failed"


def test_a_pattern_is_not_kept_for_other_secrets() -> None:
    message = "cannot log in as abcXYZ1234 now"
    assert outside.pattern(message) == "cannot log in as abcXYZ# now"
    with outside.reading(["abcXYZ1234"]):
        assert outside.pattern(message) == f"cannot log in as {MASK} now"


@check()
def quoting(target: Target, text: str) -> Finding:
    """A check that quotes"""
    return Finding(status=Status.OK, message=outside.head(text, 30))


def test_a_check_knows_the_secrets_of_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(name="t").changed(redis_url="redis://:OfTheTarget99@localhost:1")
    monkeypatch.setenv("SOME_TOKEN", "OfTheEnvironment99")
    for secret in ("OfTheTarget99", "OfTheEnvironment99"):
        assert quoting(target, f"from the log: {secret}").message == f"from the log: {MASK}"


def test_a_thread_without_a_context_knows_those_of_the_session() -> None:
    found: list[str] = []
    outside.session([SECRET])
    thread = Thread(target=lambda: found.append(outside.head(f"as {SECRET}", 12)))
    thread.start()
    thread.join()
    outside.session([])
    assert found == [f"as {MASK}"[:12]]


@pytest.mark.parametrize("most", [200, 1000, 4096])
@pytest.mark.parametrize("inside", [7, 15, len(SECRET) - 1])
def test_values_of_jobs_that_redis_cuts(tmp_path: Path, most: int, inside: int) -> None:
    server = redis_server.start(tmp_path / "redis")
    try:
        text = "x" * (most - inside) + SECRET + "y" * 5000
        server.client().hset("bull:q:1", mapping={"reason": text, "stack": text[::-1], "at": "12"})
        target = server.target()
        with outside.reading([SECRET, SECRET[::-1]]), connection.reading(target) as session:
            fields = ["reason", "stack", "at"]
            ((reason, stack, at),) = session.run(
                read_fields(session.queue("q"), ["1"], fields, most=most, tail="stack")
            )
    finally:
        server.kill()
    assert reason is not None
    assert stack is not None
    assert reason.endswith(f"x{MASK}")
    assert stack.startswith(f"{MASK}x")
    assert at == "12"


def test_a_command_to_paste_says_when_a_secret_is_missing() -> None:
    assert MASKED == MASK
    remedy = Remedy(runbook="queues/resume", parameters={"queue": f"mail-{MASK}"}, target="t")
    assert "  # first type what [redacted] stands for" in remedy.command
    assert noted(remedy.command) == remedy.command
    plain = Remedy(runbook="queues/resume", parameters={"queue": "mail"}, target="t")
    assert "#" not in plain.command


def test_a_cut_elsewhere_does_not_pass_the_types(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "mypy_cuts.py", tmp_path)
    (tmp_path / "mypy.ini").write_text("[mypy]\nplugins = mypy_cuts.py\n")
    package = tmp_path / "opsnb" / "systems"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    lines = {
        "text[:160]": False,
        "text[: MOST - 3]": False,
        "text[-most:]": False,
        "text[:most]": False,
        "text[:1]": True,
        "text[text.index('x') :]": True,
        "[text][:MOST][0]": True,
    }
    program = "MOST = 80\n\n\ndef shown(text: str, most: int) -> list[str]:\n    return [\n"
    program += "".join(f"        {line},\n" for line in lines) + "    ]\n"
    (package / "new.py").write_text(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        said, _, _ = mypy.run(["opsnb", "--config-file", "mypy.ini"])
    refused = {int(line.split(":")[1]) - 6 for line in said.splitlines() if "[cut]" in line}
    assert refused == {place for place, is_fine in enumerate(lines.values()) if not is_fine}


@pytest.mark.parametrize(
    "spelled",
    [
        lambda c: f"\\{ord(c):03o}",
        lambda c: f"\\x{ord(c):02x}",
        lambda c: f"\\u{ord(c):04x}",
        lambda c: f"%{ord(c):02X}",
        lambda c: f"&#{ord(c)};",
        lambda c: f"{ord(c):02X}",
        lambda c: f"'{c}', ",
        lambda c: f"{ord(c)},",
        lambda c: f"   {c}",
    ],
    ids=["octal", "hex escapes", "JSON", "URL", "HTML", "HEX", "characters", "bytes", "od -c"],
)
def test_the_beginning_of_a_secret_in_escapes_is_masked(spelled: Callable[[str], str]) -> None:
    form = "".join(map(spelled, SECRET))
    for inside in range(8 * len(form) // len(SECRET), len(form)):
        shown = outside.opened(f"got {form[:inside]}")
        assert re.match(rf"got [ ']*{re.escape(MASK)}", shown), shown
        assert form[: inside // 2] not in shown
