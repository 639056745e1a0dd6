"""What a killed command leaves behind is found by the next one: temporary folders, and a new folder that was being filled.

Both are held by a lock in the kernel for as long as their process lives, so that nothing of a living one is ever taken. In an
object store nothing can be locked: there a folder that was being filled is taken over at once.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from jobs.errors import HeldError, InputError
from jobs.output.store import Store

MARK = ".eci-unfinished"
"""Lies in a new folder until all of it is written."""

_PREFIX = "eci-"
_OWNER = "owner"


@contextmanager
def scratch() -> Iterator[str]:
    """Give a temporary folder that is removed at the end of the block, or by the next command where this one is killed."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        owner = os.path.join(folder, _OWNER)
        with open(f"{owner}-", "wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            os.rename(f"{owner}-", owner)  # only now may it be looked at
            inner = os.path.join(folder, "files")
            os.mkdir(inner)
            yield inner


@cache
def _sweep() -> None:
    """Remove the temporary folders of processes that have ended without removing them; once in a process."""
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            with suppress(OSError):
                ours = entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False)
                if not ours or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                    continue
                with open(os.path.join(entry.path, _OWNER), "rb", opener=_not_following) as owner:
                    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry.path)


def _not_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


@contextmanager
def filling(store: Store, own: str, last: str | None = None) -> Iterator[None]:
    """Hold a new folder while it is being filled; what an interrupted command has left of itself there is removed first.

    A block that ends with an error leaves nothing in the folder, and no folder where there was none.

    Args:
        own: a regular expression of the names at the top of the folder that the block makes.
        last: the name that is written last: where it is there, everything is.

    Raises:
        InputError: the folder holds something else.
        HeldError: another process is filling it.
    """
    made = not store.exists("")
    names = set(store.names("", links=True))
    if last in names:
        store.remove(MARK)  # killed between its last two steps
    strange = [name for name in sorted(names - {MARK}) if MARK not in names or not re.fullmatch(own, name)]
    if strange or last in names:
        raise InputError(
            f"{store.path()} holds something already ({strange[0] if strange else last}); give --to a new folder"
        )
    if MARK not in names:
        store.write_text(MARK, "eci is writing into this folder, or was stopped: the same command starts anew\n")
    with _held(store):
        _empty(store, own)
        try:
            yield
        except BaseException:
            with suppress(OSError):
                _empty(store, own)
                store.remove("" if made else MARK)
            raise
        store.remove(MARK)


@contextmanager
def _held(store: Store) -> Iterator[None]:
    if not store.local:
        yield
        return
    with open(store.path(MARK), "rb") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HeldError(f"{store.path()}: another command is writing into it; wait for it, or stop it") from None
        yield


def _empty(store: Store, own: str) -> None:
    for name in store.names(""):
        if re.fullmatch(own, name):
            store.remove(name)
    store.sweep("")
