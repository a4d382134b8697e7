"""The error in a program's output, and the permission that its login lacks."""

from __future__ import annotations

import re

from opsnb.redaction import outside

_MOST_COMPLAINT = 2**16
_FAILURE = re.compile(r"\b(fail\w*|\w*error|\w*exception|fatal)\b", re.IGNORECASE)
_AROUND = re.compile(r"\s*at\s|Node\.js v\d")
"""Lines that Node.js prints after the error itself."""


def complaint(output: bytes) -> str:
    """Return the line with the error: the last that names one, else the last."""
    lines = outside.tail(output.decode(errors="replace").strip(), _MOST_COMPLAINT).splitlines()
    lines = [line for line in lines if not _AROUND.match(line)] or lines
    bad = [line for line in lines if _FAILURE.search(line)] or lines
    return bad[-1].strip().rstrip(".") if bad else ""


_RIGHTS = (
    (
        re.compile(
            r"sudo:.*(password|terminal|tty)|sudo: no tty|doas: .*(tty|auth)", re.IGNORECASE
        ),
        "It asks for a password, and nobody is there to type it: allow the command with NOPASSWD "
        "in sudoers.",
    ),
    (
        re.compile(r"[Ii]nteractive authentication required|polkit"),
        "Log in as a user who may, or put sudo before the command.",
    ),
    (
        re.compile(r"permission denied.*(docker|podman).*sock", re.IGNORECASE | re.DOTALL),
        "Log in as a user of the group docker, or put sudo before the command.",
    ),
    (
        re.compile(r"System has not been booted with systemd"),
        "Set manager in the target's processes to what runs the service there.",
    ),
    (
        re.compile(r"Failed to connect to (the )?bus|DBUS_SESSION_BUS_ADDRESS"),
        "For units of a user, set XDG_RUNTIME_DIR in the env of the target's processes.",
    ),
)


def lacking_right(err: str) -> str:
    """Return how to permit what this login may not do, else empty."""
    return next((fix for pattern, fix in _RIGHTS if pattern.search(err)), "")
