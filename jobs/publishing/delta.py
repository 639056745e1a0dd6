"""One Delta table of ours: made, checked, and a run's rows appended, or a selection's put in, in one commit, once.

Once: the commit carries the run as the format's transaction id, so that whoever publishes the run again finds it, and of two
that do it at the same moment one fails. A process that is killed before its commit leaves files that no version names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from jobs.errors import InputError
from jobs.lakes.extra import library, reading, storage_options, without_panics
from jobs.output.store import Store
from jobs.publishing.conflicts import until_alone
from jobs.publishing.tables import Made, altered

TRIES = 12
"""How often a table is looked at anew when somebody else has changed it meanwhile."""
KEY = "eci_selection"
"""What a commit says the key of its rows is, where it puts them in the place of others."""
SAME_ROWS = ("CREATE TABLE", "OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")
"""Operations that leave a table's rows as they are."""
COMMIT_TRIES = 100
"""How often the library puts an append behind those of others."""


class DeltaTarget:
    """A Delta table of ours. `place`: the folder or URL that it lies in; `name`: what it is called there."""

    def __init__(self, place: str, name: str, made: Made) -> None:
        self.address, self.name, self._made = f"{place}/{name}", name, made
        self._options = storage_options(place)
        self._lib = library("deltalake", f"delta:{place}")

    def append(self, run_id: str, rows: int, batches: Callable[[], pa.RecordBatchReader]) -> int:
        """Append a run's rows, if the table does not have them; returns how many were appended.

        Args:
            rows: how many rows the run has.  batches: gives them, again for every try.

        Raises:
            InputError: the table is not as a run's is: somebody has altered it.
            EciError: it cannot be written.
        """

        def attempt() -> int:
            table = self._ready()
            if not rows or self._holds(table, run_id):
                return 0
            self._write(table, batches(), "append", self._commit(run_id))
            return rows

        return until_alone(attempt, self._is_conflict, TRIES, f"{self.address}: cannot be written")

    def replace(
        self, key: str, told: Mapping[str, str], batches: Callable[[], pa.RecordBatchReader]
    ) -> tuple[int, bool]:
        """Put rows in the place of those that the table holds, if they are not these; returns its version, and whether that is new.

        Args:
            key: of the rows: those of the same key are the same.  told: what the commit says of them.
            batches: as `append`.

        Raises:
            InputError: the table is none of ours, or somebody else has written to it.
            EciError: it cannot be written.
        """

        def attempt() -> tuple[int, bool]:
            table = self._ready()
            if self._held(table) == key:
                return table.version(), False
            once = self._lib.Transaction("eci:select", table.version() + 1)
            properties = self._lib.CommitProperties(
                custom_metadata={**told, KEY: key}, max_commit_retries=0, app_transactions=[once]
            )
            self._write(table, batches(), "overwrite", properties)
            return self._open().version(), True

        return until_alone(attempt, self._is_conflict, TRIES, f"{self.address}: cannot be written")

    def require_ours(self) -> None:
        """Raise InputError for a table that is there and that `replace` would refuse."""
        with reading(self.address, "open"):
            if self._is_there():
                table = self._open()
                self._checked(table)
                self._held(table)

    def _held(self, table: Any) -> str | None:
        """Return the key of the rows that a table holds, None where it holds none. Raises InputError for those of others."""
        if table.metadata().description != self._made.comment:
            raise InputError(altered(self.address, self._made.what, ["it was made for something else"]))
        for commit in table.history():
            if KEY in commit:
                return str(commit[KEY])
            if commit["operation"] not in SAME_ROWS:
                wrong = f"{commit['operation']} of version {commit['version']} is another's"
                raise InputError(altered(self.address, self._made.what, [wrong]))
        return None

    def expire(self, run_ids: Sequence[str], dry_run: bool) -> bool:
        """Remove the rows of runs (dry: look for them); returns whether there are some. Raises EciError where that fails."""
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
        which = f"run_id IN ({listed})"

        def attempt() -> bool:
            if not self._is_there():
                return False
            table = self._open()
            there = _any(table, which)
            if there and not dry_run:
                table.delete(which)
            return there

        return until_alone(attempt, self._is_conflict, TRIES, f"{self.address}: runs cannot be removed")

    def _write(self, table: Any, batches: pa.RecordBatchReader, mode: str, properties: Any) -> None:
        with without_panics():
            self._lib.write_deltalake(
                table, batches, mode=mode, commit_properties=properties, target_file_size=256 << 20
            )

    def _commit(self, run_id: str) -> Any:
        once = self._lib.Transaction(f"eci:{run_id}", 1)
        return self._lib.CommitProperties(
            custom_metadata={"eci_run_id": run_id}, max_commit_retries=COMMIT_TRIES, app_transactions=[once]
        )

    def _is_conflict(self, error: Exception) -> bool:
        """Whether somebody else was faster: made the table, changed its columns, or published the same run."""
        return isinstance(error, self._lib.exceptions.CommitFailedError) or "already exists" in str(error)

    def _holds(self, table: Any, run_id: str) -> bool:
        """Whether a run is there: by its transaction, or, where the table no longer keeps those, by its rows."""
        if table.transaction_version(f"eci:{run_id}") is not None:
            return True
        return _any(table, f"run_id = '{run_id}'")

    def _ready(self) -> Any:
        """Return the table as it is now, made if it is not there. Raises InputError for one that does not fit."""
        if not self._is_there():
            others = [name for name in Store(self.address).names("") if name != "_delta_log"]
            # others that publish may have made it, and written to it, since it was looked for
            if others and not self._is_there():
                raise InputError(
                    f"{self.address}: no Delta table, and holds other things ({', '.join(others[:3])}); name another place"
                )
            if not others:
                self._make()
        table = self._open()
        lacking = self._checked(table)
        if lacking:
            table.alter.add_columns(lacking)
            table = self._open()
        return table

    def _is_there(self) -> bool:
        return bool(self._lib.DeltaTable.is_deltatable(self.address, storage_options=self._options))

    def _open(self) -> Any:
        return self._lib.DeltaTable(self.address, storage_options=self._options)

    def _make(self) -> None:
        fields = [self._field(field) for field in self._lib.Schema.from_arrow(self._made.schema).fields]
        self._lib.DeltaTable.create(
            self.address, self._lib.Schema(fields), mode="error", partition_by=list(self._made.partitions), name=self.name,
            description=self._made.comment, storage_options=self._options,
        )  # fmt: skip

    def _field(self, field: Any) -> Any:
        return self._lib.Field(field.name, field.type, True, metadata={"comment": self._made.comments[field.name]})

    def _checked(self, table: Any) -> list[Any]:
        """Return the columns that an older version has not made. Raises InputError where the table is another than ours."""
        there = {field.name: field for field in table.schema().fields}
        ours = {field.name: field for field in self._lib.Schema.from_arrow(self._made.schema).fields}
        wrong = [
            f"column {name!r} is {_type(there[name])} there, and {_type(field)} in a run"
            for name, field in ours.items()
            if name in there and there[name].type != field.type
        ]
        wrong += [f"column {name!r} is none that a run has" for name in there if name not in ours]
        if list(table.metadata().partition_columns) != list(self._made.partitions):
            wrong.append(f"it is not partitioned by {', '.join(self._made.partitions) or 'nothing'}")
        if wrong:
            raise InputError(altered(self.address, self._made.what, wrong))
        return [self._field(field) for name, field in ours.items() if name not in there]


def _any(table: Any, which: str) -> bool:
    """Return whether a table has a row that a condition takes."""
    return any(batch.num_rows for batch in table.scan(columns=["run_id"], predicate=which))


def _type(field: Any) -> str:
    kind = field.type
    return str(getattr(kind, "type", kind))
