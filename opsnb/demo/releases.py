"""The service's releases: a git repository as a team has one, and the working copy that runs.

Running is 1.4.0. The branch `main` is one release ahead, 1.5.0, which is good; 1.6.0 is bad, and
waits beside it until the fault publishes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from opsnb.demo.home import Home
from opsnb.demo.node import App
from opsnb.errors import DemoError

BRANCH = "main"
FIRST, GOOD, BAD = "v1.4.0", "v1.5.0", "v1.6.0"

_LIST = "response.json({ projects: await listProjects(PAGE) });"
_CHANGES = {
    GOOD: """const projects = await listProjects(PAGE);
  response.json({ projects, count: projects.length });""",
    BAD: """const found = (await listProjects(PAGE)) as unknown as { rows: object[] };
  response.json({ projects: found.rows.map((project) => project) });""",
}


@dataclass(frozen=True)
class Releases:
    """The repository and the working copy of a stack."""

    home: Home

    @property
    def folder(self) -> Path:
        """The working copy, whose build the service runs."""
        return self.home.service / "app"

    @property
    def origin(self) -> Path:
        """Where the team's releases are fetched from."""
        return self.home.service / "origin.git"

    def is_of(self, app: App) -> bool:
        """Say whether the working copy was made from this build of the sources."""
        return self._mark.exists() and self._mark.read_text() == app.folder.name

    @property
    def has_history(self) -> bool:
        """Whether there is git, so that there are other releases."""
        return self.origin.exists()

    @property
    def _mark(self) -> Path:
        """Names the build of the sources that both were made from."""
        return self.home.service / "app.build"

    def prepare(self, app: App) -> None:
        """Make both from the installed `app`, unless they are there. Raises DemoError.

        Without git on the PATH there is the working copy alone.
        """
        if self.is_of(app):
            return
        for folder in (self.folder, self.origin):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(app.folder, self.folder, ignore=shutil.ignore_patterns("node_modules"))
        _link(app.folder / "node_modules", self.folder / "node_modules")
        if shutil.which("git"):
            self._release_all()
        self._mark.write_text(app.folder.name)

    def _release_all(self) -> None:
        (self.folder / ".gitignore").write_text("node_modules\ndist\n")
        self._git("init", "--quiet", f"--initial-branch={BRANCH}")
        self._commit(FIRST, "The service as it runs")
        for name, words in ((GOOD, "Count the projects"), (BAD, "Sort the list of projects")):
            self._change(name)
            self._commit(name, words)
        self._git("checkout", "--quiet", "-B", BRANCH, FIRST)
        self._git("clone", "--quiet", "--bare", str(self.folder), str(self.origin))
        self._git("remote", "add", "origin", str(self.origin))
        self._git("tag", "--delete", GOOD, BAD)
        self.publish(GOOD)

    def publish(self, release: str) -> None:
        """Make `release` the newest on the branch. Raises DemoError."""
        self._git(f"--git-dir={self.origin}", "update-ref", f"refs/heads/{BRANCH}", release)

    def fetch(self) -> None:
        """Bring the working copy to what is published. Raises DemoError."""
        self._git("fetch", "--quiet", "origin", BRANCH)
        self._git("reset", "--quiet", "--hard", "FETCH_HEAD")

    def _change(self, name: str) -> None:
        """Write the release `name` over the first one."""
        routes = self.folder / "src/routes/projects.ts"
        packages = [self.folder / "package.json", self.folder / "package-lock.json"]
        self._git("checkout", "--quiet", FIRST, "--", *map(str, (routes, *packages)))
        routes.write_text(routes.read_text().replace(_LIST, _CHANGES[name]))
        for package in packages:
            # In the lock it stands twice, above those of other packages.
            before, after = (f'"version": "{each[1:]}"' for each in (FIRST, name))
            package.write_text(package.read_text().replace(before, after, 2))

    def _commit(self, tag: str, words: str) -> None:
        self._git("add", "--all")
        who = ("-c", "user.name=The team", "-c", "user.email=team@example.org")
        self._git(*who, "commit", "--quiet", f"--message={words}")
        self._git("tag", tag)

    def _git(self, *arguments: str) -> None:
        # Nothing of the user's own settings: hooks, signatures, templates.
        plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **plain},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"git {arguments[0]} failed in {self.folder}: {done.stderr.strip()}")


def _link(source: Path, goal: Path) -> None:
    """Copy a folder by hard links, which takes no room, and by copies on another disk."""

    def copy(file: str, to: str) -> None:
        try:
            os.link(file, to)
        except OSError:
            shutil.copy2(file, to)

    shutil.copytree(source, goal, symlinks=True, copy_function=copy)
