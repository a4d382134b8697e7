"""Handbook, section 8."""
