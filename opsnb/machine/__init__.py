"""This machine: its processes, signals and private files."""
