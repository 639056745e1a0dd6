"""Small files of columns that unpack to much: what one reading may take of memory is bounded, and a record has a limit.

A page of Parquet is unpacked whole, and a value of its dictionary may stand in every row and element of a list: how much a
reading takes is known when it is too late. So the memory that this process may write to is bounded while Arrow reads, and
what does not fit is an error of the file, and no end of the process.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.formats.opening import MAX_LINE_BYTES

MOST_BYTES = 2 << 30
"""What one batch may take while it is read; one of ordinary files takes 32 MB, and its pages."""
LIMIT = f"a record of more than {MAX_LINE_BYTES >> 20} MiB, which is the limit"


@contextmanager
def bounded() -> Iterator[None]:
    """Let this process take MOST_BYTES more than it has, for the length of the block (where the kernel counts it)."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + MOST_BYTES
    if most == MOST_BYTES or before[0] != resource.RLIM_INFINITY:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def in_bounds(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield what an iterator of Arrow's gives.

    Raises:
        pa.ArrowMemoryError: a batch takes more than MOST_BYTES.
    """
    source = iter(batches)
    while True:
        with bounded():
            batch = next(source, None)
        if batch is None:
            return
        yield batch


def cut(first: int, table: pa.Table) -> Iterator[tuple[int, pa.Table | None]]:
    """Yield (position of the first row, rows) of a table; None in place of a record that is over the limit."""
    if table.nbytes <= MAX_LINE_BYTES:
        yield first, table
        return
    if len(table) == 1:
        yield first, None
        return
    half = len(table) // 2
    yield from cut(first, table.slice(0, half))
    yield from cut(first + half, table.slice(half))


def _data_bytes() -> int:
    """Return the bytes that this process can write to, 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()
