"""How findings, charts, numbers and commands look."""
