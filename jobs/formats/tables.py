"""Tables of a lake where files are named: a folder that is one, and files that belong to one.

The folder of a table holds the rows of all its versions, removed ones too: its Parquet files are no data by themselves, and
are never read without the table's log.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from jobs.errors import InputError
from jobs.formats.opening import filesystem
from jobs.lakes.naming import named
from jobs.lakes.tables import pinned

DELTA, ICEBERG, HUDI = "_delta_log", "metadata", ".hoodie"
_WEB = ("http://", "https://", "memory://")
"""Addresses without folders, or of this process alone."""


def table_at(pattern: str) -> str | None:
    """Return the address of the table that a pattern names or is the folder of; None where it is none."""
    if named(pattern) is not None:
        return pattern
    if pattern.startswith(_WEB):
        return None
    fs, inner = filesystem(pattern)
    folder = os.path.abspath(inner) if isinstance(fs, LocalFileSystem) else inner.rstrip("/")
    if not _is_delta(fs, folder):
        return None
    return f"delta:{folder if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(folder)}"


def pinned_table(pattern: str, where: str = "") -> str:
    """Return a pattern with the version that is read now, where it names a table; else as it is.

    Raises:
        InputError: the table cannot be opened, or `where` is given and the pattern names no table.
    """
    table = table_at(pattern)
    if table is not None:
        return pinned(_absolute(table), where)
    if where:
        raise InputError(
            f"--where goes with tables (delta:..., iceberg:...), and {pattern} is none; leave one of the two out"
        )
    return pattern


def _absolute(table: str) -> str:
    given = named(table)
    assert given is not None
    if given.kind != "delta" or "://" in given.root:
        return table
    return f"delta:{os.path.abspath(given.root)}{table.removeprefix(given.table)}"


def _is_delta(fs: Any, folder: str) -> bool:
    log = f"{folder}/{DELTA}"
    return bool(os.path.isdir(log) if isinstance(fs, LocalFileSystem) else fs.exists(log))


def kind_of(fs: Any, folder: str) -> str:
    """Return which kind of table a folder is: Delta, Iceberg, Hudi, or nothing."""
    if _is_delta(fs, folder):
        return "Delta"
    local = isinstance(fs, LocalFileSystem)
    if os.path.isdir(f"{folder}/{HUDI}") if local else fs.exists(f"{folder}/{HUDI}"):
        return "Hudi"
    beside = f"{folder}/{ICEBERG}"
    there = os.path.isdir(beside) if local else fs.isdir(beside)
    if there and any(
        str(name).endswith(".metadata.json") for name in (os.listdir(beside) if local else fs.ls(beside, detail=False))
    ):
        return "Iceberg"
    return ""


def refuse_within_tables(names: Iterable[str], pattern: str, what: str) -> None:
    """Raise InputError where a file belongs to a table, which says which of its rows there are."""
    if pattern.startswith(_WEB):
        return
    fs, _ = filesystem(pattern)
    seen = set[str]()
    for name in names:
        folder = os.path.dirname(name)
        while folder.strip("/") and folder not in seen:
            seen.add(folder)
            kind = kind_of(fs, folder)
            if kind:
                raise InputError(f"{what}: {pattern}: {folder} is a table of {kind}, {_INSTEAD[kind].format(folder)}")
            folder = os.path.dirname(folder)


_INSTEAD = {
    "Delta": "whose folder holds removed rows too; name the table itself: delta:{}",
    "Iceberg": "whose folder holds removed rows too; name the table itself: iceberg:CATALOG/NAMESPACE.TABLE, or "
    "iceberg:{}/metadata/ and its newest .metadata.json",
    "Hudi": "which is not read, and whose folder holds removed rows too; write its rows as Parquet to another folder",
}
