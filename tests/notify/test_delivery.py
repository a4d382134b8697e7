"""Channels on real services: webhooks of apprise and commands, those that fail and that hang."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsnb.config.file import Config, load_config
from opsnb.notify import dispatch, spool
from opsnb.notify.delivery import deliver, test_message
from opsnb.notify.message import Message
from tests.notify.test_channels import SCHEDULE
from tests.receiver import Receiver

OPSNB = str(Path(sys.executable).with_name("opsnb"))
NOW = datetime.now(UTC)
MESSAGE = test_message(NOW)
del test_message  # pytest would take it for a test


def config(*tables: str) -> Config:
    Path("opsnb.toml").write_text(
        '[targets.shop]\napi_url = "http://127.0.0.1:1"\n' + "".join(tables)
    )
    return load_config()


def webhook(hook: Receiver, more: str = "") -> str:
    return f'[[notify]]\nname = "hook"\nurl = "json://127.0.0.1:{hook.port}/hook"\n{more}'


def command(script: str, more: str = "") -> str:
    Path("tell.sh").write_text(f"#!/bin/sh\n{script}\n")
    Path("tell.sh").chmod(0o755)
    return f'[[notify]]\nname = "tell"\ncommand = ["./tell.sh", "one word"]\n{more}'


def test_a_webhook_gets_the_message(hook: Receiver) -> None:
    found = config(webhook(hook))
    spool.add(found, "hook", MESSAGE, datetime.now(UTC))
    (answer,) = deliver(found, found.notify)
    assert (answer.ok, answer.delivered, answer.words) == (True, 1, "JSON: accepted")
    (sent,) = hook.messages()
    assert (sent["title"], sent["type"]) == ("Test message from opsnb", "success")
    assert dispatch.waiting(found) == {}


def test_a_command_gets_json_and_variables() -> None:
    found = config(command('cat > got.json; env > got.env; echo "$1: done"'))
    spool.add(found, "tell", MESSAGE, datetime.now(UTC))
    (answer,) = deliver(found, found.notify)
    assert (answer.ok, answer.words) == (True, "exit code 0: one word: done")
    got = json.loads(Path("got.json").read_text())
    assert (got["event"], got["title"]) == ("test", MESSAGE.title)
    variables = Path("got.env").read_text()
    assert f"OPSNB_TITLE={MESSAGE.title}\n" in variables
    assert f"OPSNB_BODY={MESSAGE.body}\n" in variables


def test_what_fails_waits_and_is_sent_later_in_order(hook: Receiver) -> None:
    found = config(webhook(hook, "timeout = 60\n"))
    hook.status = 503
    for number in range(3):
        spool.add(found, "hook", MESSAGE, datetime.now(UTC) + timedelta(seconds=number))
    (answer,) = deliver(found, found.notify)
    assert (answer.ok, answer.waiting, answer.first_failure) == (False, 3, True)
    assert "503" in answer.words
    (again,) = deliver(found, found.notify)
    assert not again.first_failure
    waiting = dispatch.waiting(found)["hook"]
    assert [each.attempts for each in waiting] == [2, 0, 0]
    for path in (waiting[0].path, *waiting[0].path.parents):
        if path.name == "opsnb":
            break
        assert path.stat().st_mode & 0o077 == 0, path
    hook.status = 200
    before = len(hook.paths)
    (answer,) = dispatch.deliver_waiting(found, [])
    assert (answer.ok, answer.delivered) == (True, 3)
    assert len(hook.paths) - before == 3
    assert hook.messages()[-3]["message"].startswith("Delayed, from ")


def test_a_message_that_is_never_taken_does_not_hold_back_the_others_for_ever() -> None:
    found = config(command('grep -q "two" && exit 0; exit 1'))
    spool.add(found, "tell", MESSAGE, datetime.now(UTC))
    other = Message.from_json({**MESSAGE.as_json(), "title": "two"})
    spool.add(found, "tell", other, datetime.now(UTC) + timedelta(seconds=1))
    for _ in range(4):
        (answer,) = deliver(found, found.notify)
        assert answer.waiting == 2
    (answer,) = deliver(found, found.notify)
    assert (answer.delivered, answer.waiting) == (1, 1)


def test_what_cannot_be_queued_is_sent_at_once(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = config(webhook(hook), SCHEDULE)
    Path("no-folder").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("no-folder").absolute()))
    for status, words in ((200, ["may be repeated"]), (503, ["not be kept for later", "repeated"])):
        hook.status = status
        said = dispatch.after_refusal(found.schedules[0], found, "The disk is full.", NOW)
        assert len(said) == len(words)
        assert all(part in sentence for part, sentence in zip(words, said, strict=True)), said
    assert [sent["type"] for sent in hook.messages()] == ["warning", "warning"]
    assert "The disk is full." in hook.messages()[0]["message"]


def test_nobody_listens() -> None:
    found = config('[[notify]]\nname = "hook"\nurl = "json://127.0.0.1:1/hook"\n')
    spool.add(found, "hook", MESSAGE, datetime.now(UTC))
    (answer,) = deliver(found, found.notify)
    assert not answer.ok
    assert answer.words.startswith("JSON: ")


@pytest.mark.parametrize("way", ["webhook", "command"])
def test_what_hangs_is_ended(hook: Receiver, way: str) -> None:
    hook.hangs = True
    limit = "timeout = 2.0\n"
    slow = webhook(hook, limit) if way == "webhook" else command("sleep 600", limit)
    found = config(slow)
    for _ in range(3):
        spool.add(found, found.notify[0].name, MESSAGE, datetime.now(UTC))
    began = time.monotonic()
    (answer,) = deliver(found, found.notify)
    assert time.monotonic() - began < 60  # not 600, nor three times what apprise waits by itself
    assert (answer.ok, answer.waiting, answer.words) == (False, 3, "no response within 2 s")


def test_what_a_command_leaves_running_delays_nobody() -> None:
    found = config(command("sleep 600 & echo started"))
    spool.add(found, "tell", MESSAGE, datetime.now(UTC))
    (answer,) = deliver(found, found.notify)
    assert (answer.ok, answer.words) == (True, "exit code 0: started")


def test_however_much_a_command_writes_little_is_kept() -> None:
    found = config(command("head -c 300000000 /dev/zero | tr '\\0' x; exit 4", "timeout = 60\n"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (answer,) = dispatch.send_test(found, [], NOW)
    assert answer.words.startswith("exit code 4: xxx")
    assert len(answer.words) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


@pytest.mark.parametrize("script", ["yes", "yes & exit 0", "exec >&- 2>&-; sleep 600"])
def test_a_command_that_writes_without_end_or_closes_its_output(script: str) -> None:
    found = config(command(script, "timeout = 2.0\n"))
    (answer,) = dispatch.send_test(found, [], NOW)
    ends = "exit 0" in script
    assert answer.ok is ends
    assert answer.words.startswith("exit code 0: y" if ends else "no response within 2 s")


def test_one_channel_that_fails_keeps_no_other_from_its_message(hook: Receiver) -> None:
    found = config(webhook(hook), command("echo broken >&2; exit 3"))
    for channel in found.notify:
        spool.add(found, channel.name, MESSAGE, datetime.now(UTC))
    by_name = {answer.channel: answer for answer in deliver(found, found.notify)}
    assert by_name["hook"].ok
    assert by_name["tell"].words == "exit code 3: broken"


def test_what_is_too_old_is_given_up(hook: Receiver) -> None:
    found = config(webhook(hook))
    spool.add(found, "hook", MESSAGE, NOW - timedelta(days=4))
    (answer,) = deliver(found, found.notify)
    assert answer.ok
    assert hook.paths == []


def test_the_spool_does_not_grow_without_end(hook: Receiver) -> None:
    found = config(webhook(hook))
    for number in range(130):
        spool.add(found, "hook", MESSAGE, datetime.now(UTC) + timedelta(seconds=number))
    assert spool.count(found, "hook") == 100


def test_a_secret_of_the_address_is_in_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "tok3n-" + "0f1e2d3c4b5a6978"
    monkeypatch.setenv("HOOK_PART", token)
    found = config(command('echo "refused: $1"; exit 1').replace("one word", "${HOOK_PART}"))
    words = dispatch.send_test(found, [], NOW)[0].words
    assert token in words or "[redacted]" in words
    tables = (
        f'[[notify]]\nname = "hook"\nurl = "json://user:{token}@127.0.0.1:1/services/{token}x"\n'
    )
    found = config(tables)
    assert {token, f"{token}x"} <= found.secrets
    assert token in found.target("shop").secrets
    answer = dispatch.send_test(found, [], NOW)[0].words
    assert token not in answer


def test_the_commands(hook: Receiver) -> None:
    config(webhook(hook), command("echo thanks"))
    hook.status = 500

    def opsnb(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [OPSNB, "notify", *words], capture_output=True, text=True, check=False
        )

    tested = opsnb("test")
    assert tested.returncode == 2
    assert "FAILED  hook: JSON: " in tested.stdout
    assert "500" in tested.stdout
    assert "ok      tell: exit code 0: thanks" in tested.stdout
    assert opsnb("test", "tell").returncode == 0
    unknown = opsnb("test", "tel")
    assert (unknown.returncode, "Did you mean 'tell'?" in unknown.stderr) == (64, True)
    found = load_config()
    spool.add(found, "hook", MESSAGE, datetime.now(UTC))
    assert opsnb("flush").returncode == 2
    status = opsnb("status")
    assert status.returncode == 1
    assert "1 attempts: JSON: " in status.stdout
    hook.status = 200
    flushed = opsnb("flush", "hook")
    assert (flushed.returncode, flushed.stdout) == (0, "ok      hook: JSON: accepted\n")
    assert opsnb("status").stdout == "No messages are waiting.\n"


def test_no_variable_no_message_but_it_waits(
    monkeypatch: pytest.MonkeyPatch, hook: Receiver
) -> None:
    found = config('[[notify]]\nname = "hook"\nurl = "${HOOK_ADDRESS}"\n')
    spool.add(found, "hook", MESSAGE, datetime.now(UTC))
    (answer,) = deliver(found, found.notify)
    assert "uses ${HOOK_ADDRESS}, which is not set" in answer.words
    monkeypatch.setenv("HOOK_ADDRESS", f"json://127.0.0.1:{hook.port}/hook")
    (answer,) = deliver(found, found.notify)
    assert answer.ok
    assert os.environ["HOOK_ADDRESS"] not in answer.words
