"""Handbook, section 6."""
