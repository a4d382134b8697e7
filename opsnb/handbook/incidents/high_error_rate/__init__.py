"""Handbook, section 6.2."""
