"""The release on the target's host."""

from opsnb.systems.deploy.release import (
    clean,
    do,
    is_release,
    paths,
    pending,
    release,
    release_before,
    restart,
    tests,
)

__all__ = [
    "clean",
    "do",
    "is_release",
    "paths",
    "pending",
    "release",
    "release_before",
    "restart",
    "tests",
]
