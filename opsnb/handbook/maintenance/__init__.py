"""Handbook, section 9."""
