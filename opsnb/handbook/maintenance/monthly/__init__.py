"""Handbook, section 9.2."""
