"""Handbook, section 7."""
