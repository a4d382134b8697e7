"""Packages of the service and of its host."""

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
