"""`[[notify]]` in opsnb.toml: what cannot work is refused when the file is read."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsnb.config.file import load_config
from opsnb.config.unattended import address_secrets
from opsnb.errors import ConfigError
from opsnb.notify import delivery, dispatch
from opsnb.notify.delivery import attempt
from opsnb.schedule import crontab, systemd
from opsnb.systems.api.settings import Api

MESSAGE = delivery.test_message(datetime.now(UTC))
TARGET = '[targets.shop]\napi_url = "http://127.0.0.1:1"\n'
SCHEDULE = """
[[schedules]]
name = "daily"
runbook = "health/daily"
cron = "15 7 * * *"
targets = ["shop"]
"""
UUID = "6c6c1fa8-1111-4b1d-9d9d-3f6e1a2b4c5d"
CHANNEL = '[[notify]]\nname = "hook"\nurl = "json://127.0.0.1:1/hook"\n'


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (CHANNEL.replace("json://", ""), "url is not a URL; write one such as json://"),
        (CHANNEL + 'targets = ["shpo"]\n', "which matches nothing. Did you mean 'shop'?"),
        (CHANNEL + 'schedules = ["dialy"]\n', "Did you mean 'daily'?"),
        (CHANNEL + 'status = ["critical"]\n', "must be 'warn', 'crit' or 'unknown'"),
        (CHANNEL + "status = []\n", "must not be empty"),
        (CHANNEL + "timeout = 600\n", "must be at most 60"),
        (CHANNEL + 'reminder = "often"\n', "reminder must be a number"),
        (CHANNEL + 'command = ["true"]\n', "needs either url or command"),
        ('[[notify]]\nname = "hook"\n', "needs either url or command"),
        ('[[notify]]\nname = "x"\ncommand = ["no-such-program"]\n', "was not found"),
        ('[[notify]]\nname = "x"\ncommand = ["./opsnb.toml"]\n', "chmod +x"),
        (CHANNEL + CHANNEL, "two [[notify]] tables named 'hook'"),
        (CHANNEL + 'traget = ["shop"]\n', "Did you mean 'targets'?"),
        (SCHEDULE + 'ping = "hc.example/1"\n', "ping must start with http:// or https://"),
        (SCHEDULE + 'ping = "https:///1"\n', "ping must name a host"),
        (SCHEDULE + 'mail = ["ok"]\n', "must be 'warn', 'crit' or 'unknown'"),
        (SCHEDULE + 'grace = "-5m"\n', "grace must be"),
    ],
)
def test_what_cannot_work_is_refused(table: str, told: str) -> None:
    schedule = "" if "[[schedules]]" in table else SCHEDULE
    Path("opsnb.toml").write_text(TARGET + schedule + table)
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_config()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("jsn://127.0.0.1:1/hook", "apprise does not support. Did you mean 'json'?"),
        ("https://127.0.0.1:1/hook", "Use json:// or jsons:// for your own webhook"),
        ("slack://x", "cannot use this slack:// URL"),
    ],
)
def test_a_service_that_apprise_cannot_use_is_refused_before_cron_needs_it(
    url: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    Path("opsnb.toml").write_text(
        TARGET + SCHEDULE + CHANNEL.replace("json://127.0.0.1:1/hook", url)
    )
    found = load_config()
    with pytest.raises(ConfigError, match=re.escape(told)):
        dispatch.send_test(found, [], datetime.now(UTC))
    for units in (crontab.block, systemd.units):
        with pytest.raises(ConfigError, match=re.escape(told)):
            units(found, None)
    # The sender says so too, for whoever changed the file since then.
    ok, words = attempt(found, found.notify[0], MESSAGE, 60)
    assert (ok, told in words) == (False, True), words


def test_a_process_that_sends_nothing_does_not_import_apprise() -> None:
    Path("opsnb.toml").write_text(TARGET + SCHEDULE + CHANNEL)
    script = (
        "import sys; import opsnb, opsnb.schedule.running; "
        "from opsnb.config.file import load_config; "
        "load_config(); print('apprise' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_variable_that_only_cron_has_keeps_nobody_from_working() -> None:
    tables = CHANNEL.replace("json://127.0.0.1:1/hook", "${NOT_SET_HERE}")
    Path("opsnb.toml").write_text(TARGET + SCHEDULE + 'ping = "${NOR_THIS}/x"\n' + tables)
    found = load_config()
    assert Api.of(found.target("shop")).url == "http://127.0.0.1:1"
    assert found.secrets == frozenset()


@pytest.mark.parametrize(
    ("url", "secret", "not_secret"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXr/#ops", "T1JJ3T3L2 A1BRTD4JD", "ops"),
        ("json://user:pa55word@hook.example:8080/notify", "pa55word", "hook.example notify"),
        ("tgram://123456789:AAF4keFakeFake/12315544", "AAF4keFakeFake", ""),
        (
            "https://hc.example/6c6c1fa8-1111-4b1d-9d9d-3f6e1a2b4c5d",
            "6c6c1fa8-1111-4b1d-9d9d-3f6e1a2b4c5d",
            "hc.example",
        ),
        ("ntfy://ntfy.example/on-call", "", "ntfy.example on-call"),
    ],
)
def test_what_is_secret_in_an_address(url: str, secret: str, not_secret: str) -> None:
    found = address_secrets(url)
    assert set(secret.split()) <= found
    assert not found & set(not_secret.split())
