"""Every change: plan, confirm, apply, verify, and its journal."""
