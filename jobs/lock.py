"""One run at a time in an output root.

The holder keeps OUT/work/LOCK locked (flock) for as long as it lives; the kernel lets go when it dies, so a dead
holder never blocks anybody. The file says who holds it, for the message that a second run gives.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from jobs.errors import HeldError
from jobs.store import Store

LOCK = "work/LOCK"


@contextmanager
def holding(store: Store) -> Iterator[None]:
    """Hold the output root for the length of the block.

    Raises:
        HeldError: another run holds it; the message says which host and process, and since when.
    """
    if not store.local:
        yield
        return
    path = store.path(LOCK)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HeldError(
                f"{store.path()}: held by another run ({_holder(descriptor)}); wait for it, or stop it"
            ) from None
        text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": _now()})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(store: Store) -> str | None:
    """Return who holds the output root, in words, or None where nobody does."""
    if not store.local or not store.exists(LOCK):
        return None
    descriptor = os.open(store.path(LOCK), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return f"host {who['host']}, process {who['pid']}, since {who['since']}"
    except (ValueError, KeyError):
        return "it has just started"
