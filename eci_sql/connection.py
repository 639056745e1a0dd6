"""DuckDB connections: every one with its threads, memory and temporary folder set, and the SQL files beside this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = Path(__file__).parent


def connect(memory: int = 1 << 30, threads: int = 1, temporary: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database.

    Args:
        memory: bytes that DuckDB may use.  threads: its threads.
        temporary: folder to spill to; without one it does not spill and raises when memory is short.

    Extensions are never fetched, and nothing is read that the caller did not name.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{max(memory >> 20, 64)}MiB",
            "threads": threads,
            "temp_directory": temporary or "",
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    connection.execute("SET enable_progress_bar = false")
    return connection


@contextmanager
def kept(
    memory: int,
    threads: int,
    prepare: Callable[[duckdb.DuckDBPyConnection], Any] | None = None,
    **views: pa.Table,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Any]]:
    """Lend this thread's connection of these settings, with tables as views for the length of the block.

    It is opened once and stays open until `close_kept`: opening takes 30 ms, which is what a small fold takes altogether.

    Args:
        memory, threads: as of `connect`.
        prepare: called once with the new connection, to register functions.

    Yields:
        The connection, and what `prepare` has returned.
    """
    key = (threading.get_ident(), memory, threads, prepare)
    if key not in _kept:
        opened = connect(memory, threads)
        _kept[key] = opened, prepare(opened) if prepare else None
    connection, prepared = _kept[key]
    try:
        for name, table in views.items():
            connection.register(name, table)
        yield connection, prepared
    finally:
        for name in views:
            connection.unregister(name)


_kept: dict[tuple[Any, ...], tuple[duckdb.DuckDBPyConnection, Any]] = {}


def close_kept() -> None:
    """Close this thread's kept connections.

    A process that goes on as somebody else's does so: one that ends with functions of Python still in DuckDB may abort.
    """
    for key in [key for key in _kept if key[0] == threading.get_ident()]:
        _kept.pop(key)[0].close()


@cache
def statement(name: str) -> str:
    """Return the SQL of `<name>.sql` here: `scores`, `select/chosen`. Names stand in the code; none is made of values."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
