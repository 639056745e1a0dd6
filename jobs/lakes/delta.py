"""Delta tables, by the library deltalake: the version's columns and files, deletion vectors, partitions, column mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from jobs.errors import InputError
from jobs.lakes.conditions import Known
from jobs.lakes.extra import library, reading, storage_options
from jobs.lakes.naming import Named
from jobs.lakes.snapshot import DataFile, Snapshot

_PHYSICAL, _NUMBER = "delta.columnMapping.physicalName", "delta.columnMapping.id"


def open_delta(named: Named) -> Any:
    """Return deltalake's table at the named version, or at its newest. Raises InputError."""
    deltalake = library("deltalake", named.table)
    at = "the newest version" if named.version is None else f"version {named.version}"
    with reading(named.table, f"be opened as a Delta table at {at}"):
        try:
            return deltalake.DeltaTable(named.root, version=named.version, storage_options=storage_options(named.root))
        except deltalake.exceptions.TableNotFoundError as error:
            raise InputError(
                f"{named.table}: no Delta table is there; give the folder that holds its _delta_log"
            ) from error


def newest_delta(named: Named) -> Named:
    """Return a table at its newest version. Raises InputError."""
    return replace(named, version=int(open_delta(named).version()))


def delta_snapshot(named: Named) -> Snapshot:
    """Return a table at its version. Raises InputError for one that cannot be opened, or that needs what is not read here."""
    table = open_delta(named)
    with reading(named.at_version, "have its log read"):
        fields = json.loads(table.schema().to_json())["fields"]
        schema = pa.schema(table.schema().to_arrow())
        stored = {f["name"]: f["metadata"][_PHYSICAL] for f in fields if _PHYSICAL in f["metadata"]}
        mode = (table.metadata().configuration or {}).get("delta.columnMapping.mode", "none")
        numbers = {f["name"]: int(f["metadata"][_NUMBER]) for f in fields if _NUMBER in f["metadata"]}
        actions = pa.table(table.get_add_actions(flatten=False))
        vectors = dict(_deleted(table))
        files = dict(_files(actions, schema, stored, vectors))
    lost = vectors.keys() - files.keys()
    if lost:
        raise InputError(f"{named.at_version}: deletion vectors of files that it does not name ({min(lost)}); not read")
    _refuse_nested(named, schema, stored)
    places = {name: (physical,) for name, physical in stored.items()}
    return Snapshot(named, schema, files, places, numbers if mode == "id" else {})


def _refuse_nested(named: Named, schema: pa.Schema, stored: Mapping[str, str]) -> None:
    """Raise InputError for columns whose own fields are renamed by column mapping as well."""
    nested = [name for name in stored if _holds_struct(schema.field(name).type)]
    if nested:
        raise InputError(
            f"{named.at_version}: column {nested[0]!r} is a struct under column mapping, whose fields have other names in the "
            "files; not read: write the columns that are needed to a table without column mapping"
        )


def _holds_struct(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_struct(kind.value_type)
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind))


def _deleted(table: Any) -> Iterator[tuple[str, pa.Array]]:
    """Yield the files that have a deletion vector, with the positions of their deleted rows."""
    root = _decoded(table.table_uri).rstrip("/") + "/"
    for batch in table.deletion_vectors():
        batch = pa.record_batch(batch)
        for uri, kept in zip(batch["filepath"], batch["selection_vector"], strict=True):
            mask = kept.values.to_numpy(zero_copy_only=False)
            yield _decoded(uri.as_py()).removeprefix(root), pa.array((~mask).nonzero()[0], pa.int64())


def _decoded(uri: str) -> str:
    return unquote(uri).removeprefix("file://")


def _files(
    actions: pa.Table, schema: pa.Schema, stored: Mapping[str, str], deleted: Mapping[str, pa.Array]
) -> Iterator[tuple[str, DataFile]]:
    logical = {physical: name for name, physical in stored.items()}
    for row in actions.to_pylist():
        rows = row["num_records"]
        name = unquote(row["path"])
        low, high, nulls, parts = (row.get(key) or {} for key in ("min", "max", "null_count", "partition"))
        known = {
            logical.get(column, column): Known(low.get(column), high.get(column), nulls.get(column), rows)
            for column in {*low, *high, *nulls}
        }
        # a file without any statistics has nulls in their place
        known = {column: said for column, said in known.items() if said.nulls is not None}
        constants = {}
        for column, value in parts.items():
            of = logical.get(column, column)
            constants[of] = pa.scalar(value, schema.field(of).type)
            known[of] = Known(value, value, rows if value is None else 0, rows)
        yield name, DataFile(rows, known, constants, deleted.get(name))
