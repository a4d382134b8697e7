"""Handbook, section 5."""
