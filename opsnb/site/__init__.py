"""Runbooks and records as one browsable site."""

from opsnb.site.builder import build
from opsnb.site.server import serve

__all__ = ["build", "serve"]
