"""Each guide in docs/extend, followed to the letter, and what has come of it at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from opsnb import catalog
from opsnb.config.target import Target
from tests.authoring.walk import Reader

PAGES = ("check", "action", "runbook", "fault")
_DRILL_LIMIT_S = 300


def test_the_guides_lead_from_a_check_to_a_drill(demo: Target, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for page in PAGES:
        reader.follow(catalog.share("docs") / "extend" / f"{page}.md")
    said = "\n".join(reader.said)
    assert "0 of 3,000 scenes have no script." in said
    assert "300 of 3,000 scenes have no script." in said
    assert "1 runbook checked" not in said  # that of init, and that of the guide
    assert "2 runbooks checked, nothing to correct." in said
    assert "scenes/empty" in said
    runs = [json.loads(path.read_text()) for path in tmp_path.rglob("records/**/result.json")]
    applied = [run["actions"][0]["applied"] for run in runs if run["runbook"] == "scenes/empty"]
    assert sorted(applied) == [0, 0, 300]
    practise(reader)


def practise(reader: Reader) -> None:
    """Hold the drill of the page: another terminal runs what the diagnosis names."""
    drill = subprocess.Popen(
        [sys.executable, "-m", "opsnb", "drill", "lost-scripts", "--json"],
        cwd=reader.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    flag = Path(os.environ["OPSNB_DEMO_HOME"], "faults", "lost-scripts")
    ends = time.monotonic() + _DRILL_LIMIT_S
    while not flag.exists() and drill.poll() is None and time.monotonic() < ends:
        time.sleep(0.1)
    assert flag.exists(), drill.poll()
    reader.type("opsnb run scenes/empty -t demo --apply")
    told, _ = drill.communicate(timeout=_DRILL_LIMIT_S)
    assert drill.returncode == 0, told
    assert json.loads(told)["runbook"] == "drill/lost-scripts"
