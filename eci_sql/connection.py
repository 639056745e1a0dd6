"""DuckDB connections: every one with its threads, memory and temporary folder set, and the SQL files beside this one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

FOLDER = Path(__file__).parent


def connect(memory: int = 1 << 30, threads: int = 1, temporary: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database.

    Args:
        memory: bytes that DuckDB may use.  threads: its threads.
        temporary: folder to spill to; without one it does not spill and raises when memory is short.

    Extensions are never fetched, and nothing is read that the caller did not name.
    """
    import duckdb

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


@cache
def statement(name: str) -> str:
    """Return the SQL of `<name>.sql`."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
