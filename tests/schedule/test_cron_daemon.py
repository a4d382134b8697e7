"""A real cron daemon runs an installed schedule, and the record is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opsnb.records import Store
from opsnb.target import load_config

OPSNB = str(Path(sys.executable).with_name("opsnb"))
CRON = "/usr/sbin/cron"
# The daemon has folders of its own in place of the machine's, in a mount namespace of its own.
PLACES = ("/var/spool/cron/crontabs", "/etc/cron.d", "/run")
PRIVATE = "&& ".join(f"mount --bind $1/{i} {place} " for i, place in enumerate(PLACES)) + (
    "&& mount --bind /dev/null /etc/crontab && shift && exec $@"
)

CONFIG = """
[targets.shop]
api_url = "http://127.0.0.1:1"
[[schedules]]
name = "every-minute"
runbook = "health/daily"
cron = "* * * * *"
targets = ["shop"]
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
    usable = Path(CRON).exists() and shutil.which("crontab") and shutil.which("unshare")
    tried = subprocess.run(private(folder, "true"), check=False, capture_output=True)
    if not usable or tried.returncode:
        if os.environ.get("CI"):
            pytest.fail("no cron daemon can be run here, though this is CI")
        pytest.skip("a cron daemon of its own needs cron, unshare and root")
    return folder


def test_cron_runs_what_was_installed(spool: Path) -> None:
    Path("opsnb.toml").write_text(CONFIG)
    command = [OPSNB, "schedule", "crontab", "--install"]
    subprocess.run(private(spool, *command), check=True, capture_output=True)
    daemon = subprocess.Popen(private(spool, CRON, "-f"), start_new_session=True)
    store = Store(load_config().store)
    log = Path(os.environ["XDG_STATE_HOME"], "opsnb", "schedule", "schedule.log")
    try:
        ends = time.monotonic() + 150
        while not (log.exists() and "exit=" in log.read_text()):  # after the record
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
