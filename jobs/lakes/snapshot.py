"""A table at one version: its columns, its data files, and what its log says of each. The same for every format of tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from jobs.errors import InputError
from jobs.lakes.conditions import Condition, Known, bound, may_hold
from jobs.lakes.naming import Named
from jobs.lakes.where import parse


@dataclass(frozen=True)
class DataFile:
    """A data file: what its log says of it.

    Attributes:
        known: of columns: the smallest and largest value, nulls.  rows: as they were written, None where the log does not say.
        constants: columns that the file need not hold, with their value (partitions), as Arrow scalars.
        deleted: positions of rows that are no more, ascending int64, None where all are.
    """

    rows: int | None = None
    known: Mapping[str, Known] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    deleted: pa.Array | None = None


@dataclass(frozen=True)
class Snapshot:
    """A table at one version.

    Attributes:
        named: its name, with the version.  schema: its columns.  files: by name, as `Named.file`.
        stored: what columns may be called in the files, where they have other names there.
        by_id: the number that a column has in the files' metadata, where columns are found by it.
        strict: whether a file without such numbers needs `stored`; its own names say nothing then.
    """

    named: Named
    schema: pa.Schema
    files: Mapping[str, DataFile]
    stored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_id: Mapping[str, int] = field(default_factory=dict)
    strict: bool = False

    def condition(self, where: str) -> Condition | None:
        """Return what --where says, of this table's columns; None where it says nothing. Raises InputError."""
        return bound(parse(where), self.schema) if where else None

    def taken(self, where: str) -> list[str]:
        """Return the files that can hold a row that `where` takes, by name. Raises InputError where there is none."""
        condition = self.condition(where)
        found = [
            name for name, file in sorted(self.files.items()) if condition is None or may_hold(condition, file.known)
        ]
        if not self.files:
            raise InputError(f"{self.named}: the table has no row at this version")
        if not found:
            raise InputError(
                f"{self.named}: none of its {len(self.files):,} files can hold a row where {where} (by partitions and statistics)"
            )
        return found
