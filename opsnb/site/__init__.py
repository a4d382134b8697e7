"""Runbooks and records as one browsable site."""
