"""A real cron daemon runs an installed schedule, and the record is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsnb.config.file import load_config
from opsnb.records.store import Store
from tests.receiver import Receiver, receiver

OPSNB = str(Path(sys.executable).with_name("opsnb"))
CRON = "/usr/sbin/cron"
# The daemon has folders of its own in place of the machine's, in a mount namespace of its own.
PLACES = ("/var/spool/cron/crontabs", "/etc/cron.d", "/run")
# What cron mails goes to a sendmail that keeps it in a file.
SBIN = "mount -t overlay overlay -o lowerdir=$1/mail:/usr/sbin /usr/sbin "
PRIVATE = "&& ".join(f"mount --bind $1/{i} {place} " for i, place in enumerate(PLACES)) + (
    f"&& {SBIN}&& mount --bind /dev/null /etc/crontab && shift && exec $@"
)

CONFIG = """
[targets.shop]
api_url = "http://127.0.0.1:1"
[[schedules]]
name = "every-minute"
runbook = "health/daily"
cron = "* * * * *"
targets = ["shop"]
ping = "{url}/ping"
[[notify]]
name = "hook"
url = "json://127.0.0.1:{port}/hook"
"""


def private(folder: Path, *words: str) -> list[str]:
    """Return the command that runs `words` where the machine's own crontabs are not to be seen."""
    root = [] if os.getuid() == 0 else ["sudo", "-n", "-E"]
    return [*root, "unshare", "--mount", "sh", "-ec", PRIVATE, "sh", str(folder), *words]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    for number, _ in enumerate(PLACES):
        (tmp_path / "cron" / str(number)).mkdir(parents=True)
    folder = tmp_path / "cron"
    (folder / "mail").mkdir()
    sendmail = folder / "mail" / "sendmail"
    sendmail.write_text(f"#!/bin/sh\ncat >> {folder}/mailed\n")
    sendmail.chmod(0o755)
    usable = Path(CRON).exists() and shutil.which("crontab") and shutil.which("unshare")
    tried = subprocess.run(private(folder, "true"), check=False, capture_output=True)
    if not usable or tried.returncode:
        if os.environ.get("CI"):
            pytest.fail("no cron daemon can be run here, though this is CI")
        pytest.skip("a cron daemon of its own needs cron, unshare and root")
    return folder


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_cron_runs_what_was_installed(
    spool: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The line has the PATH, and cron limits its length.
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    Path("opsnb.toml").write_text(CONFIG.format(url=hook.url, port=hook.port))
    command = private(spool, OPSNB, "schedule", "crontab", "--install")
    installed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    daemon = subprocess.Popen(private(spool, CRON, "-f"), start_new_session=True)
    store = Store(load_config().store)
    log = Path(os.environ["XDG_STATE_HOME"], "opsnb", "schedule", "schedule.log")
    try:
        ends = time.monotonic() + 150
        # What cron mails is the last of a run.
        while not (hook.messages() and (spool / "mailed").exists()):
            assert daemon.poll() is None
            assert time.monotonic() < ends, "cron has run nothing"
            time.sleep(0.5)
    finally:
        daemon.terminate()
        daemon.wait()
    found = list(store.results())
    assert found[-1].trigger == "schedule every-minute"
    assert found[-1].scheduled is not None
    assert found[-1].runbook == "health/daily"
    assert f"every-minute run={found[-1].run_id} exit=2 The API at" in log.read_text()
    assert hook.messages()[0]["title"].startswith("CRIT API health on shop")
    assert {"/ping/start", "/ping/fail"} <= set(hook.paths)
    status = subprocess.run([OPSNB, "schedule", "check"], check=False, capture_output=True)
    assert status.returncode == 0, status.stdout
    mailed = (spool / "mailed").read_text()
    assert "CRIT health/daily on shop: The API at http://127.0.0.1:1 cannot be reached" in mailed
    assert "\nNext: opsnb " in mailed
    assert f"\nRecord: {Store(load_config().store).folder(found[-1].run_id)}/" in mailed
