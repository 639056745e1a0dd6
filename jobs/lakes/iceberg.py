"""Iceberg tables, by the library pyiceberg: the snapshot's columns and files, deletes by position, partitions, renamed columns.

A table is found in a catalog (its address and credentials come from pyiceberg's own settings and environment), or is one of
its metadata files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import InputError
from jobs.lakes.conditions import Known
from jobs.lakes.extra import library, reading
from jobs.lakes.naming import Named
from jobs.lakes.snapshot import DataFile, Snapshot

METADATA = ".metadata.json"


def open_iceberg(named: Named) -> Any:
    """Return pyiceberg's table. Raises InputError."""
    if named.root.endswith(METADATA):
        tables = library("pyiceberg.table", named.table)
        with reading(named.table, "be opened as the metadata of an Iceberg table"):
            return tables.StaticTable.from_metadata(named.root)
    catalog, slash, table = named.root.partition("/")
    if not slash or "." not in table or "/" in table:
        raise InputError(
            f"{named.table}: an Iceberg table is iceberg:CATALOG/NAMESPACE.TABLE, or iceberg: and its newest {METADATA} file"
        )
    catalogs = library("pyiceberg.catalog", named.table)
    with reading(named.table, f"be opened in the catalog {catalog!r} (set PYICEBERG_CATALOG__{catalog.upper()}__URI)"):
        return catalogs.load_catalog(catalog).load_table(table)


def newest_iceberg(named: Named) -> Named:
    """Return a table at its newest snapshot, with the columns that it has now. Raises InputError."""
    table = open_iceberg(named)
    found = table.current_snapshot()
    if found is None:
        raise InputError(f"{named.table}: the table has no row yet")
    return replace(named, version=int(found.snapshot_id), schema=int(table.schema().schema_id))


def iceberg_snapshot(named: Named) -> Snapshot:
    """Return a table at its snapshot. Raises InputError for one that is gone, or that needs what is not read here."""
    table = open_iceberg(named)
    found = table.metadata.snapshot_by_id(named.version)
    if found is None:
        ids = ", ".join(str(s.snapshot_id) for s in table.metadata.snapshots[-5:]) or "none"
        raise InputError(f"{named.table}: no snapshot {named.version} (the last ones: {ids})")
    io = library("pyiceberg.io.pyarrow", named.table)
    with reading(named.at_version, "have its snapshot read"):
        number = found.schema_id if named.schema is None else named.schema
        schema = next(s for s in table.metadata.schemas if s.schema_id == number)
        arrow = io.schema_to_pyarrow(schema, include_field_ids=False)
        tasks = list(table.scan(snapshot_id=named.version).plan_files())
        # a file of deletes is often for many data files
        deletes = {file.file_path: _deletes(table, file, named) for task in tasks for file in task.delete_files}
        files = {task.file.file_path: _file(table, schema, arrow, task, deletes, named) for task in tasks}
        mapping = table.metadata.name_mapping()
        stored = {f.name: tuple(m.names) for f in schema.fields for m in mapping or () if m.field_id == f.field_id}
    numbers = {f.name: f.field_id for f in schema.fields}
    return Snapshot(named, arrow, files, stored, numbers, strict=True)


def _file(table: Any, schema: Any, arrow: pa.Schema, task: Any, deletes: dict[str, pa.Table], named: Named) -> DataFile:
    file = task.file
    if file.file_format.name != "PARQUET":
        raise InputError(
            f"{named.at_version}: its file {file.file_path} is {file.file_format.name}; only Parquet is read"
        )
    constants = dict(_partitions(table, schema, arrow, file))
    known = dict(_known(schema, arrow, file))
    for name, value in constants.items():
        known[name] = Known(value.as_py(), value.as_py(), 0 if value.is_valid else file.record_count, file.record_count)
    here = pc.field("file_path") == file.file_path
    positions = [np.asarray(deletes[d.file_path].filter(here)["pos"], dtype=np.int64) for d in task.delete_files]
    deleted = pa.array(np.unique(np.concatenate(positions))) if positions else None
    return DataFile(file.record_count, known, constants, deleted)


def _partitions(table: Any, schema: Any, arrow: pa.Schema, file: Any) -> Iterator[tuple[str, pa.Scalar]]:
    """Yield the columns that a file's partition gives a value."""
    for place, field in enumerate(table.metadata.specs()[file.spec_id].fields):
        name = schema.find_column_name(field.source_id)
        if str(field.transform) == "identity" and name in arrow.names:
            yield name, _scalar(file.partition[place], arrow.field(name).type)


def _scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    """Return a value of Iceberg, which has times and days as whole numbers, as Arrow's."""
    if isinstance(value, int) and pa.types.is_temporal(kind):
        return pa.scalar(value, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
    return pa.scalar(value, kind)


def _known(schema: Any, arrow: pa.Schema, file: Any) -> Iterator[tuple[str, Known]]:
    """Yield what a manifest says of a file's columns."""
    from_bytes = library("pyiceberg.conversions", file.file_path).from_bytes
    for field in schema.fields:
        limits = []
        for bounds in (file.lower_bounds, file.upper_bounds):
            data = (bounds or {}).get(field.field_id)
            try:
                value = None if data is None else from_bytes(field.field_type, data)
                limits.append(None if value is None else _scalar(value, arrow.field(field.name).type).as_py())
            except (
                struct.error,
                ValueError,
                TypeError,
                pa.ArrowException,
            ):  # written while the column had another type
                limits.append(None)
        nulls = (file.null_value_counts or {}).get(field.field_id)
        yield field.name, Known(limits[0], limits[1], nulls, file.record_count)


def _deletes(table: Any, deletes: Any, named: Named) -> pa.Table:
    """Return what a file of deletes by position holds: data files and their positions."""
    if deletes.file_format.name != "PARQUET":
        raise InputError(
            f"{named.at_version}: its deletes are {deletes.file_format.name} ({deletes.file_path}); only Parquet is read: rewrite "
            "the table's data files in Spark, with rewrite_data_files"
        )
    with table.io.new_input(deletes.file_path).open() as file:
        return pq.read_table(pa.PythonFile(file, mode="r"), columns=["file_path", "pos"])
