"""Servers of a test's own: PostgreSQL 13 to 18 and pgbouncer, on loopback ports."""
