"""The table of `opsnb.toml` that says how a release is brought onto the host."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from opsnb.config.settings import Settings


class Deploy(Settings):
    """`[targets.NAME.deploy]`: how a release is brought onto the target's host.

    Commands run in `folder` on the host, as lists of words. `{release}` in one stands for the
    release that is gone back to. An empty one is a step that this service does not have.
    """

    folder: str = Field("", description="The service's working copy. Empty: nothing is deployed.")
    release: tuple[str, ...] = Field(
        ("git", "rev-parse", "--short", "HEAD"), description="Prints which release is there."
    )
    before: tuple[str, ...] = Field(
        ("git", "rev-parse", "--short", "ORIG_HEAD"),
        description="Prints the release before, for a rollback that finds no record of it.",
    )
    known: tuple[str, ...] = Field(
        ("git", "rev-parse", "--verify", "--quiet", "{release}^{commit}"),
        description="Fails when there is no such release. Empty: it is not asked.",
    )
    changes: tuple[str, ...] = Field(
        ("git", "status", "--porcelain", "--untracked-files=no"),
        description="Prints what was changed by hand in the folder, nothing when it is clean.",
    )
    tests: tuple[str, ...] = Field(
        (), description="Runs the tests; exit code 0 means that they pass."
    )
    pending: tuple[str, ...] = Field(
        (), description="Prints the migrations that are pending, a line each."
    )
    migrate: tuple[str, ...] = Field(
        ("npm", "run", "db:push"), description="Migrates the database."
    )
    migrate_after: Literal["pause", "build"] = Field(
        "pause",
        description="`pause`: before the code is fetched, as the handbook has it; `build`: by the "
        "migrations of the new release.",
    )
    fetch: tuple[str, ...] = Field(
        ("git", "pull", "--ff-only", "origin", "main"), description="Fetches the new release."
    )
    install: tuple[str, ...] = Field(("npm", "install"), description="Installs what it depends on.")
    build: tuple[str, ...] = Field(("npm", "run", "build"), description="Builds it.")
    restart: tuple[str, ...] = Field(
        ("pm2", "restart", "all"),
        description="Restarts it. Where it is not set: the service's processes, by their manager.",
    )
    smoke: tuple[str, ...] = Field(
        ("npm", "run", "test:smoke"),
        description="Tests the running service; exit code 0 means that it works.",
    )
    go_back: tuple[str, ...] = Field(
        ("git", "checkout", "--quiet", "--detach", "{release}"),
        description="Brings the folder back to a release.",
    )
    migrate_down: tuple[str, ...] = Field(
        (), description="Takes the newest migration back, when a rollback is asked to."
    )
    paths: tuple[str, ...] = Field(
        ("/api/projects", "/api/analysis"),
        description="What users cannot do without: GET must answer 200.",
    )
    limit_s: float = Field(
        600.0, gt=0, le=7200, description="How long one command may take, in seconds."
    )
