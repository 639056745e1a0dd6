"""One run at a time in an output root.

In a folder the holder keeps OUT/work/LOCK locked (flock) for as long as it lives; the kernel lets go when it dies, so a
dead holder never blocks anybody. The file says who holds it, for the message that a second run gives. In an object store
the same object is a lease (`jobs.output.lease`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.errors import HeldError, InputError
from jobs.output import lease
from jobs.output.lease import LOCK as LOCK
from jobs.output.store import Store


@contextmanager
def holding(store: Store) -> Iterator[Callable[[], None]]:
    """Hold the output root for the length of the block; gives a function that raises HeldError if the hold was lost.

    Raises:
        HeldError: another run holds it; the message says which host and process, and since when.
    """
    if not store.local:
        with lease.Lease(store) as held:
            yield held.check
        return
    path = store.path(LOCK)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HeldError(
                f"{store.path()}: held by another run ({_holder(descriptor)}); wait for it, or stop it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(lease.me()).encode(), 0)
        yield lambda: None  # a lock in the kernel is not lost
    finally:
        os.close(descriptor)


def holder(store: Store) -> str | None:
    """Return who holds the output root, in words, or None where nobody does."""
    if not store.local:
        found = lease.read(store)
        return None if found is None or lease.dead(store, found[0]) else lease.in_words(found[0])
    if not store.exists(LOCK):
        return None
    descriptor = _opened(store.path(LOCK), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _opened(path: str, flags: int) -> int:
    """Open the lock's file. Raises InputError where it is a link: what that names is somebody else's."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{path} is a link, which eci never makes: remove it, and run again") from None
        raise


def _holder(descriptor: int) -> str:
    try:
        return lease.in_words(json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, KeyError):
        return lease.in_words({})
