"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.deploy.releasing import (
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
