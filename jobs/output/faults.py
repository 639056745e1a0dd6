"""Faults that the crash tests ask for: the N-th I/O step of a run fails, or kills its process.

Off unless ECI_FAULT=FILE:N:WHAT is set, WHAT being KILL or the name of an error such as ENOSPC. Steps are counted over
all processes of the run by the length of FILE, one byte a step. ECI_FAULT_AT=OPERATION:SUFFIX:WHAT does the same
at a step named by its operation (open, fsync, rename, publish; open, put in object stores) and the end of its path.
"""

from __future__ import annotations

import errno
import os
import signal


def step(operation: str, path: str) -> None:
    """Count one I/O step, before it is taken; fail or die if it is the one."""
    named = os.environ.get("ECI_FAULT_AT")
    if named is not None:
        wanted, suffix, what = named.split(":")
        if operation == wanted and path.endswith(suffix):
            _happen(what, path)
    plan = os.environ.get("ECI_FAULT")
    if plan is None:
        return
    counter, number, what = plan.rsplit(":", 2)
    descriptor = os.open(counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, b".")
        reached = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if reached == int(number):
        _happen(what, path)


def _happen(what: str, path: str) -> None:
    if what == "KILL":
        os.kill(os.getpid(), signal.SIGKILL)
    code = getattr(errno, what)
    raise OSError(code, os.strerror(code), path)
