"""A data file of a table, as its table has it: its columns' names and types, partitions as columns, without deleted rows.

Has the part of pyarrow's ParquetFile that readers of Parquet use, so that a table's file is read like any other. Rows that
--where does not take are left out. Positions of rows count those that are left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jobs.errors import InputError
from jobs.lakes.conditions import as_arrow, columns_of
from jobs.lakes.naming import Named
from jobs.lakes.snapshot import Snapshot

BATCH = 65_536
_FIELD_ID = b"PARQUET:field_id"


class _Rows(NamedTuple):
    """A file's metadata as readers use it: rows that are there, and the row groups as they were written."""

    num_rows: int
    row_group: Any


class TableFile:
    """A data file of a table. `file`: the Parquet file, open."""

    def __init__(self, snapshot: Snapshot, named: Named, file: Any) -> None:
        self._file, self._named = file, named
        self._said = snapshot.files[named.file]
        self._condition = snapshot.condition(named.where)
        self._places = _places(snapshot, named, file.schema_arrow)
        self.schema_arrow = snapshot.schema
        self.num_row_groups = file.num_row_groups
        gone = 0 if self._said.deleted is None else len(self._said.deleted)
        self.metadata = _Rows(file.metadata.num_rows - gone, file.metadata.row_group)

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def iter_batches(
        self, batch_size: int = BATCH, row_groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are left, batch by batch, with these columns of the table in this order (None: all)."""
        wanted = list(self.schema_arrow.names if columns is None else columns)
        seen = [] if self._condition is None else columns_of(self._condition)
        for table in self._live(batch_size, row_groups, list(dict.fromkeys([*wanted, *seen]))):
            found = table if self._condition is None else table.filter(as_arrow(self._condition))
            if len(found):
                yield from found.select(wanted).combine_chunks().to_batches()

    def left_out(self, row_groups: Sequence[int] | None = None) -> int:
        """Return how many rows that are there --where does not take."""
        if self._condition is None:
            return 0
        keep = as_arrow(self._condition)
        tables = self._live(BATCH, row_groups, columns_of(self._condition))
        return sum(len(table) - len(table.filter(keep)) for table in tables)

    def _live(self, batch_size: int, row_groups: Sequence[int] | None, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows that are not deleted, as the table has them."""
        groups = list(range(self.num_row_groups)) if row_groups is None else list(row_groups)
        held = [self._places[name] for name in names if name in self._places]
        for group in groups:
            at, rows = self._range(group)
            # a batch without a column would not say how many rows it has
            batches = (
                self._file.iter_batches(batch_size, row_groups=[group], columns=list(dict.fromkeys(held)))
                if held
                else (_rows_alone(min(batch_size, rows - start)) for start in range(0, rows, batch_size))
            )
            for batch in batches:
                table = self._as_table(batch, names)
                yield table.filter(pa.array(self._kept(at, len(batch)))) if self._said.deleted is not None else table
                at += len(batch)

    def rows_of(self, group: int) -> int:
        """Return how many rows of a row group are not deleted."""
        start, rows = self._range(group)
        return rows if self._said.deleted is None else int(self._kept(start, rows).sum())

    def _range(self, group: int) -> tuple[int, int]:
        """Return the place of a row group's first row in the file, and how many it has."""
        sizes = [self._file.metadata.row_group(i).num_rows for i in range(group + 1)]
        return sum(sizes[:-1]), sizes[-1]

    def _kept(self, start: int, rows: int) -> np.ndarray:
        positions = np.asarray(self._said.deleted)
        kept = np.ones(rows, dtype=bool)
        first, last = np.searchsorted(positions, [start, start + rows])
        kept[positions[first:last] - start] = False
        return kept

    def _as_table(self, batch: pa.RecordBatch, names: list[str]) -> pa.Table:
        columns = []
        for name in names:
            kind = self.schema_arrow.field(name).type
            if name in self._places:
                columns.append(self._cast(batch.column(self._places[name]), name, kind))
            elif name in self._said.constants:
                columns.append(pa.repeat(self._said.constants[name], len(batch)))
            else:  # the column is younger than the file
                columns.append(pa.nulls(len(batch), kind))
        return pa.table(columns, schema=pa.schema([self.schema_arrow.field(name) for name in names]))

    def _cast(self, column: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
        if column.type == kind:
            return column
        try:
            return column.cast(kind, safe=not pa.types.is_timestamp(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise InputError(
                f"{self._named.at_version}: column {name!r} is of type {kind}, and of {column.type} in its file "
                f"{self._named.file}, which is not the same"
            ) from error


def _rows_alone(count: int) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(count)], names=[""])


def _places(snapshot: Snapshot, named: Named, schema: pa.Schema) -> dict[str, str]:
    """Return what the table's columns are called in a file, for those that it holds. Raises InputError where nothing says it."""
    numbers = {int((field.metadata or {}).get(_FIELD_ID, b"-1")): field.name for field in schema}
    found = {name: numbers[number] for name, number in snapshot.by_id.items() if number in numbers}
    if found:
        return found
    if snapshot.strict and not snapshot.stored and numbers.keys() == {-1}:
        raise InputError(
            f"{snapshot.named}: the columns of its file {named.file} have no field ids, and the table has no name mapping; which "
            "is which, nothing says"
        )
    held = set(schema.names)
    stored = {name: snapshot.stored.get(name, (name,)) for name in snapshot.schema.names}
    return {name: place for name, places in stored.items() for place in places if place in held}
