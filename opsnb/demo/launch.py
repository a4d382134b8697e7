"""Start a program as another account, or detached from whoever asked for it.

Run as a script, with the standard library alone:

    launch.py here USER PROGRAM [ARGUMENT...]           becomes PROGRAM
    launch.py detached LOG USER PROGRAM [ARGUMENT...]   PROGRAM in a session of its own, its output
                                                        appended to LOG, no other file open

USER is empty, or the account to run as, for programs that refuse to run as root. A detached
program is never a child of the caller, so that no caller has to reap it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import sys
from contextlib import suppress

CAP_DAC_OVERRIDE = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


def become(user: str) -> None:
    """Become `user`, and still find the way to files below folders that are root's alone.

    Another account cannot reach a state folder below /root, and opening /root to everybody
    would outlast the demo. This capability ends with the process.
    """
    account = pwd.getpwnam(user)
    libc = ctypes.CDLL(None)
    linux = sys.platform == "linux"
    if linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if linux:
        mask = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        # Effective, permitted, inheritable; then the same for the capabilities above 31. Where
        # root itself lacks the capability this fails, and the folders' modes decide.
        sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
        libc.capset(header, sets)
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def execute(user: str, *command: str) -> None:
    """Become `command`, as `user` when one is given."""
    try:
        if user:
            become(user)
        os.execv(command[0], command)
    except (OSError, KeyError) as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def detach(log: str) -> None:
    """Go on in a new session with output to `log`; the calling process ends at the exec."""
    executed, executing = os.pipe()
    if os.fork():
        os.close(executing)
        os.read(executed, 1)
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Held while the program lives, and visible in other containers, where its pid is not.
    with suppress(OSError):  # a file system without locks
        fcntl.flock(output, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # The one that stays open closes at the exec, by which the caller knows that it happened.
    os.dup2(executing, 3, inheritable=False)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    if mode == "detached":
        detach(arguments.pop(0))
    execute(*arguments)
