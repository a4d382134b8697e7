"""What the other parts of opsnb and notebooks call: see the package."""

from opsnb.systems.packages.checks import (
    debian,
    debian_security,
    npm,
    npm_security,
    parse_audit,
)

__all__ = [
    "debian",
    "debian_security",
    "npm",
    "npm_security",
    "parse_audit",
]
