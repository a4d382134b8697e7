"""The shop's working copy and the commands that deploy it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsnb.demo import node

if TYPE_CHECKING:
    from tests.stranger.system import Shop

FIRST, SECOND = "v1", "v2"
BUILD = "mkdir -p build && cp RELEASE build/RELEASE\n"


def make_copy(shop: Shop) -> None:
    """Make a repository with two releases, and a working copy at the first one."""
    origin, copy = shop.folder / "origin", shop.copy
    origin.mkdir()
    _git(origin, "init", "--quiet", "--initial-branch=trunk")
    (origin / "build.sh").write_text(BUILD)
    (origin / "test.sh").write_text("echo all tests passed\n")
    (origin / ".gitignore").write_text("build\nmigrated\n")
    _release(origin, FIRST)
    _git(shop.folder, "clone", "--quiet", str(origin), str(copy))
    _release(origin, SECOND)
    _git(copy, "fetch", "--quiet", "--tags", "origin", "trunk")
    subprocess.run(["sh", "build.sh"], cwd=copy, check=True)


def _release(origin: Path, name: str) -> None:
    (origin / "RELEASE").write_text(f"{name}\n")
    _git(origin, "add", "--all")
    _git(origin, "commit", "--quiet", "--message", f"Release {name}")
    _git(origin, "tag", name)


def settings(shop: Shop) -> dict[str, Any]:
    """Return `[targets.shop.deploy]`."""
    program = node.find_node().node
    smoke = Path(__file__).parent / "service" / "smoke.cjs"
    restart = ["env", f"PM2_HOME={shop.pm2_home}", shop.pm2, "reload", "shop-api"]
    return {
        "folder": shop.copy,
        "release": ["cat", "RELEASE"],
        "before": ["git", "show", "ORIG_HEAD:RELEASE"],
        "tests": ["sh", "test.sh"],
        "pending": ["true"],
        "migrate": ["touch", "migrated"],
        "fetch": ["git", "pull", "--quiet", "--ff-only", "origin", "trunk"],
        "install": [],
        "build": ["sh", "build.sh"],
        "restart": restart,
        "smoke": ["env", f"SHOP_SETTINGS={shop.settings}", program, smoke],
        "paths": ["/v1/orders"],
        "limit_s": 60,
    }


def bring(shop: Shop, release: str) -> None:
    """Bring the working copy to a release by hand."""
    _git(shop.copy, "fetch", "--quiet", "--tags", "origin", "trunk")
    _git(shop.copy, "checkout", "--quiet", "-B", "trunk", release)
    subprocess.run(["sh", "build.sh"], cwd=shop.copy, check=True)


def _git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
