"""What this machine has: cores and memory, as far as a process may take them; sizes in words."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jobs.errors import InputError

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_bytes(text: str) -> int:
    """Return the number of bytes that `2GB`, `512MiB` or `1000000` mean (units of 1024). Raises ValueError."""
    lower = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = lower[-1:] if lower[-1:] in "kmgt" else ""
    try:
        value = int(float(lower.removesuffix(unit)) * UNITS[unit])
    except ValueError:
        value = 0
    if value <= 0:
        raise ValueError(f"{text!r} is no size; give bytes or a size such as 512MB or 2GB")
    return value


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int:
    """Return the machine's memory, or the lowest limit of this process's control groups where that is lower, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_group_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _group_limits(membership: Path, mounted: Path) -> Iterator[int]:
    """Yield the memory limits of the control groups that a process is in, and of those above them, of either version."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    for line in ["0::/", *lines]:
        number, controllers, path = line.split(":", 2)
        first_version = "memory" in controllers.split(",")
        if not first_version and number != "0":
            continue
        top = mounted / "memory" if first_version else mounted
        group = top / path.strip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            with suppress(OSError, ValueError):
                yield int((folder / ("memory.limit_in_bytes" if first_version else "memory.max")).read_text())


_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h
KEPT_BYTES = 128 << 20
"""Memory at the end of its heap that a process keeps for its next arrays."""
LARGEST_KEPT = 32 << 20
"""Bytes of the largest array that is kept so: no more is taken by glibc."""


def keep_memory() -> bool:
    """Let this process keep the memory of arrays that it is done with; returns whether it does.

    The C library gives large blocks back to the kernel, which clears them when they are asked for again. One heap for all
    threads: those of others than the main one are too small to keep such blocks. Only with glibc; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    wanted = {_MMAP_THRESHOLD: LARGEST_KEPT, _TRIM_THRESHOLD: KEPT_BYTES, _ARENA_MAX: 1}
    return all(mallopt(name, value) for name, value in wanted.items())


def address_space() -> int | None:
    """Return the limit of this process's addresses (`ulimit -v`) in bytes, None where there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


LEAST_ADDRESSES = 32 << 30
"""Addresses that workers, which map files, and what draws charts, which reserves them, can do with."""


def require_addresses(what: str) -> None:
    """Raise InputError where this process has too few addresses for something. `what`: it needs many, and why."""
    limit = address_space()
    if limit is not None and limit < LEAST_ADDRESSES:
        raise InputError(
            f"the address space is limited to {limit >> 20} MiB (ulimit -v), too little for {what}: take the limit off; "
            "--memory and control groups bound what a run takes"
        )


def default_memory() -> int:
    """Return the bytes that a command takes where nobody says how many: 60 % of the memory that there is."""
    return int(0.6 * available_memory())
