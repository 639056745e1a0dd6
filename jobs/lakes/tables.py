"""Tables by their address: which version is the newest, which files it has, and each file as its table has it.

A table is opened once a process and version. Covers: what readers of input need. Does not cover: writing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from typing import Any

from jobs.lakes.data_file import TableFile
from jobs.lakes.delta import delta_snapshot, newest_delta
from jobs.lakes.iceberg import iceberg_snapshot, newest_iceberg
from jobs.lakes.naming import Named, named
from jobs.lakes.snapshot import Snapshot
from jobs.output.records import TableUsed


def pinned(address: str, where: str = "") -> str:
    """Return a table's address with the version that is read, its newest unless it names one. Raises InputError."""
    given = named(address)
    assert given is not None
    pin = replace(given, where=where or given.where)
    if pin.version is None:
        pin = newest_delta(pin) if pin.kind == "delta" else newest_iceberg(pin)
    snapshot_of(pin).condition(pin.where)
    return str(pin)


def files_of(address: str) -> list[str]:
    """Return the addresses of a table's data files that can hold a row of it. Raises InputError where there is none."""
    pin = _pin(address)
    return [str(pin.of_file(file)) for file in snapshot_of(pin).taken(pin.where)]


def used_of(address: str) -> TableUsed:
    """Return what is read of a table; of the rows left out those alone that are known before: of the files that are not read.

    Raises InputError as `files_of`.
    """
    pin = _pin(address)
    files = snapshot_of(pin).files
    taken = set(snapshot_of(pin).taken(pin.where))
    left = [file for name, file in files.items() if name not in taken]
    rows = [file.rows for file in left]
    known = None if None in rows else sum(row for row in rows if row is not None)
    if known is not None:
        known -= sum(len(file.deleted) for file in left if file.deleted is not None)
    assert pin.version is not None
    return {
        "table": pin.table, "version": pin.version, "where": pin.where,
        "files": len(taken), "files_left_out": len(left), "rows_left_out": known,
    }  # fmt: skip


def as_its_table_has_it(path: str, file: Any) -> Any:
    """Return an open Parquet file, or, where its path is that of a table's file, that file as the table has it."""
    given = named(path)
    return file if given is None or not given.file else TableFile(snapshot_of(given), given, file)


def as_read(address: str) -> list[Any] | None:
    """Return what decides, beside its bytes and the condition, on the rows of a table's file: in any version the same for the same rows.

    None for a file of no table.
    """
    given = named(address)
    if given is None or not given.file:
        return None
    snapshot = snapshot_of(given)
    said = snapshot.files[given.file]
    gone = None if said.deleted is None else hashlib.sha256(said.deleted.to_numpy().tobytes()).hexdigest()
    return [
        [[field.name, str(field.type)] for field in snapshot.schema],
        sorted([name, str(value.type), repr(value.as_py())] for name, value in said.constants.items()),
        gone,
        sorted([name, list(places)] for name, places in snapshot.stored.items()),
        sorted(snapshot.by_id.items()),
        snapshot.strict,
    ]


def snapshot_of(given: Named) -> Snapshot:
    """Return the table of a name with a version. Raises InputError."""
    return _snapshot(replace(given, where="", file=""))


def _pin(address: str) -> Named:
    pin = named(pinned(address))
    assert pin is not None
    return pin


@lru_cache(maxsize=8)
def _snapshot(given: Named) -> Snapshot:
    return delta_snapshot(given) if given.kind == "delta" else iceberg_snapshot(given)
