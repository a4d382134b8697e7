"""What `opsnb init` writes works at once, in an environment that has the wheel and no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from opsnb.config.target import Target
from tests.authoring.walk import practise

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel's files; what opsnb depends on it has from this one."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    venv.create(folder / "venv", with_pip=False)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    # A path file of another folder is not read, so the checkout's own opsnb stays away.
    (site / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv"


def test_make_demo_and_make_test_work_with_the_wheel_alone(
    demo: Target, environment: Path, tmp_path: Path
) -> None:
    def run(*words: str, folder: Path = tmp_path) -> str:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    where = run("python3", "-c", "import opsnb; print(opsnb.__file__)").strip()
    assert Path(where).is_relative_to(environment)
    run("python3", "-m", "opsnb", "init", "acme-ops")
    ours = tmp_path / "acme-ops"
    assert "Users see no notice." in run("make", "demo", folder=ours)
    tested = run("make", "test", folder=ours)
    assert "16 passed" in tested, tested
    fix = ("python3", "-m", "opsnb", "run", "notices/remove", "-t", "demo", "--apply")
    practise(ours, "old-notice", lambda: run(*fix, folder=ours), str(environment / "bin"))
    run("python3", "-m", "opsnb", "site", "build", folder=ours)
    assert (ours / "site/runbooks/notices/remove.html").is_file()
    assert "old-notice" in (ours / "site/drills.html").read_text()
