"""One run at a time in an output root in an object store, where nothing can be locked: a lease.

OUT/work/LOCK is an object that says who holds the root. It is made by a conditional put, and its holder puts it anew
every BEAT_SECONDS on condition that it is still the one that it put last. A lease is dead when its process is gone (seen on
the same host), or when it has not been put for EXPIRY_SECONDS by the store's own clock; a dead one is taken over by a put on
condition that it has not moved since. What a holder must not do once it has lost its lease is guarded again by itself:
LATEST is put on condition that it is what it was when the run began. Where a store has no condition for replacing an
object (`Store.put_if`), two runs that find the same dead lease within the same second may both go on until then.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.errors import HeldError
from jobs.output import layout
from jobs.output.store import Store

LOCK = layout.LOCK
BEAT_SECONDS = 15.0
EXPIRY_SECONDS = 120.0


def me() -> dict[str, Any]:
    """Return this process as a lock's file names it: host, machine, pid, when it was started, since when it holds."""
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": pid,
        "started": _started(pid),
        "since": since,
    }


def in_words(who: dict[str, Any]) -> str:
    """Return a lock's content for a message."""
    if not who:
        return "it has just started"
    return f"host {who['host']}, process {who['pid']}, since {who['since']}"


def _machine() -> str:
    """Return what processes share whose numbers can be compared: the boot and the namespace of processes ('' if unknown)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return when a process of this machine was started, in the kernel's count; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except FileNotFoundError:
        return None


def read(store: Store) -> tuple[dict[str, Any], str] | None:
    """Return a lease and its version, or None where there is none."""
    version = store.version(LOCK)
    if version is None:
        return None
    try:
        return dict(json.loads(store.read_text(LOCK))), version
    except FileNotFoundError:
        return None
    except ValueError:
        return {}, version


def silent_for(store: Store) -> float:
    """Return for how many seconds the lease has not been put, by the store's clock."""
    try:
        return store.now() - store.written(LOCK)
    except FileNotFoundError:
        return EXPIRY_SECONDS


def dead(store: Store, who: dict[str, Any]) -> bool:
    """Return whether a lease's holder is gone."""
    machine = _machine()
    if machine and who.get("machine") == machine and _started(who["pid"]) != who["started"]:
        return True
    return silent_for(store) >= EXPIRY_SECONDS


class Lease:
    """A lease that is held for the length of a `with` block.

    Raises:
        HeldError: on entering, another run holds the root; from `check`, another run has taken it over.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._who = store, me() | {"token": uuid.uuid4().hex}
        self._text, self._version = "", ""
        self._end, self._lost = threading.Event(), False
        self._beating = threading.Thread(target=self._beat, name="eci-lease", daemon=True)

    def __enter__(self) -> Lease:
        found = read(self._store)
        if found is not None and not dead(self._store, found[0]):
            raise self._held(found[0])
        if not self._put(None if found is None else found[1]):
            other = read(self._store)
            raise self._held({} if other is None else other[0])
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._beating.join(timeout=60)
        with suppress(
            Exception
        ):  # a store that does not answer must not hide how the run ended; the lease is dead then
            if self._mine():
                self._store.remove(LOCK)

    def check(self) -> None:
        """Raise HeldError if another run has taken the root over."""
        if self._lost or not self._mine():
            raise HeldError(
                f"{self._store.path()}: another run has taken over, since this one gave no sign of life for "
                f"{EXPIRY_SECONDS:.0f} s; nothing was published, and finished tasks are kept"
            )

    def _mine(self) -> bool:
        found = read(self._store)
        return found is not None and found[0].get("token") == self._who["token"]

    def _put(self, version: str | None) -> bool:
        self._text = json.dumps(self._who | {"beat": time.time_ns()})
        put = self._store.put_if(LOCK, self._text, version)
        if put:
            self._version = self._store.version(LOCK) or ""
        return put and self._mine()

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            with suppress(Exception):  # the store does not answer: the next beat tries again
                if not self._put(self._version):
                    self._version = self._store.version(LOCK) or ""
                    if not self._mine():
                        self._lost = True
                        return

    def _held(self, who: dict[str, Any]) -> HeldError:
        return HeldError(
            f"{self._store.path()}: held by another run ({in_words(who)}); wait for it, "
            f"or stop it; a dead one's hold ends {EXPIRY_SECONDS:.0f} s after its last sign of life"
        )
