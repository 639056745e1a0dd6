"""One Iceberg table of ours, in a catalog: made, checked, and a run's rows appended, or a selection's put in, in one commit, once.

Once: each snapshot names its run, and a commit succeeds only where nothing was committed since the table was looked at; then it
is looked at anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from jobs.errors import InputError
from jobs.lakes.extra import library, reading
from jobs.publishing.conflicts import until_alone
from jobs.publishing.tables import Made, altered

TRIES = 40
"""How often a table is looked at anew when somebody else has changed it meanwhile."""
WAIT = 0.2
"""Seconds between two tries, on average."""
ROWS = 250_000
"""Rows that are held in memory at once: the library streams into no partitioned table."""
RUN = "eci.run_id"
"""The property of a snapshot that names its run."""
KEY = "eci.selection"
"""The property of a snapshot that has the key of its rows, where it puts them in the place of others."""
_CONFLICTS = ("CommitFailedException", "TableAlreadyExistsError", "NamespaceAlreadyExistsError", "OperationalError")


class IcebergTarget:
    """An Iceberg table of ours. `place`: CATALOG/NAMESPACE; `name`: what it is called."""

    def __init__(self, place: str, name: str, made: Made) -> None:
        catalog, _, self._namespace = place.partition("/")
        self.address, self.name, self._made = f"iceberg:{place}.{name}", name, made
        self._schema = pa.schema([f.with_metadata({"doc": made.comments[f.name]}) for f in made.schema])
        with reading(self.address, f"open the catalog {catalog!r} (set PYICEBERG_CATALOG__{catalog.upper()}__URI)"):
            self._catalog = library("pyiceberg.catalog", self.address).load_catalog(catalog)

    @property
    def _identifier(self) -> str:
        return f"{self._namespace}.{self.name}"

    def append(self, run_id: str, rows: int, batches: Callable[[], pa.RecordBatchReader]) -> int:
        """Append a run's rows, if the table does not have them; as `DeltaTarget.append`."""

        def attempt() -> int:
            table = self._ready()
            if not rows or self._holds(table, run_id):
                return 0
            # the library's own retry would put the run behind whatever came meanwhile, the same run as well
            table.metadata.properties["commit.retry.num-retries"] = "0"
            with table.transaction() as transaction:
                for chunk in _chunks(batches()):
                    transaction.append(chunk, snapshot_properties={RUN: run_id})
            return rows

        return until_alone(attempt, _is_conflict, TRIES, f"{self.address}: cannot be written", WAIT)

    def replace(
        self, key: str, told: Mapping[str, str], batches: Callable[[], pa.RecordBatchReader]
    ) -> tuple[int, bool]:
        """Put rows in the place of those that the table holds; as `DeltaTarget.replace`, with a snapshot for the version."""
        every = library("pyiceberg.expressions", self.address).AlwaysTrue()

        def attempt() -> tuple[int, bool]:
            table = self._ready()
            if self._held(table) == key:
                return table.current_snapshot().snapshot_id, False
            table.metadata.properties["commit.retry.num-retries"] = "0"
            said = {f"eci.{name.removeprefix('eci_')}": value for name, value in told.items()} | {KEY: key}
            with table.transaction() as transaction:
                if table.current_snapshot() is not None:
                    transaction.delete(every, snapshot_properties=said)
                for chunk in _chunks(batches()):
                    transaction.append(chunk, snapshot_properties=said)
            return self._catalog.load_table(self._identifier).current_snapshot().snapshot_id, True

        return until_alone(attempt, _is_conflict, TRIES, f"{self.address}: cannot be written", WAIT)

    def require_ours(self) -> None:
        """Raise InputError for a table that is there and that `replace` would refuse."""
        with reading(self.address, "open"):
            if self._catalog.table_exists(self._identifier):
                table = self._catalog.load_table(self._identifier)
                self._checked(table)
                self._held(table)

    def _held(self, table: Any) -> str | None:
        """Return the key of the rows that a table holds, None where it holds none. Raises InputError for those of others."""
        if table.properties.get("comment") != self._made.comment:
            raise InputError(altered(self.address, self._made.what, ["it was made for something else"]))
        snapshot = table.current_snapshot()
        while snapshot is not None:
            if (key := snapshot.summary.get(KEY)) is not None:
                return str(key)
            if snapshot.summary.operation.value != "replace":  # which leaves the rows as they are
                wrong = f"snapshot {snapshot.snapshot_id} is another's"
                raise InputError(altered(self.address, self._made.what, [wrong]))
            before = snapshot.parent_snapshot_id
            snapshot = None if before is None else table.snapshot_by_id(before)
        return None

    def expire(self, run_ids: Sequence[str], dry_run: bool) -> bool:
        """Remove the rows of runs; as `DeltaTarget.expire`."""
        among = library("pyiceberg.expressions", self.address).In("run_id", list(run_ids))

        def attempt() -> bool:
            if not self._catalog.table_exists(self._identifier):
                return False
            table = self._catalog.load_table(self._identifier)
            there = _any(table, among)
            if there and not dry_run:
                table.delete(among)
            return there

        return until_alone(attempt, _is_conflict, TRIES, f"{self.address}: runs cannot be removed", WAIT)

    def _holds(self, table: Any, run_id: str) -> bool:
        """Whether a run is there: by a snapshot, or, where the table no longer keeps that, by its rows."""
        if any((s.summary or {}).get(RUN) == run_id for s in table.metadata.snapshots):
            return True
        return _any(table, library("pyiceberg.expressions", self.address).EqualTo("run_id", run_id))

    def _ready(self) -> Any:
        """Return the table as it is now, made if it is not there. Raises InputError for one that does not fit."""
        if not self._catalog.table_exists(self._identifier):
            self._catalog.create_namespace_if_not_exists(self._namespace)
            with self._catalog.create_table_transaction(self._identifier, self._schema) as made:
                made.set_properties({"comment": self._made.comment})
                if self._made.partitions:
                    with made.update_spec() as spec:
                        for column in self._made.partitions:
                            spec.add_identity(column)
        table = self._catalog.load_table(self._identifier)
        if self._checked(table):
            with table.update_schema() as update:
                update.union_by_name(self._schema)
            table = self._catalog.load_table(self._identifier)
        return table

    def _checked(self, table: Any) -> bool:
        """Return whether columns lack that an older version has not made. Raises InputError where it is another than ours."""
        arrow = library("pyiceberg.io.pyarrow", self.address).schema_to_pyarrow(table.schema(), include_field_ids=False)
        there = {field.name: _plain(field.type) for field in arrow}
        ours = {field.name: _plain(field.type) for field in self._schema}
        wrong = [
            f"column {name!r} is {there[name]} there, and {kind} in a run"
            for name, kind in ours.items()
            if there.get(name, kind) != kind
        ]
        wrong += [f"column {name!r} is none that a run has" for name in there if name not in ours]
        names = [field.name for field in table.spec().fields]
        if names != list(self._made.partitions):
            wrong.append(f"it is not partitioned by {', '.join(self._made.partitions) or 'nothing'}")
        if wrong:
            raise InputError(altered(self.address, self._made.what, wrong))
        return not ours.keys() <= there.keys()


def _is_conflict(error: Exception) -> bool:
    """Whether somebody else was faster; the classes are of the library, its catalogs and their databases."""
    return type(error).__name__ in _CONFLICTS


def _any(table: Any, which: Any) -> bool:
    return len(table.scan(row_filter=which, selected_fields=("run_id",), limit=1).to_arrow()) > 0


def _plain(kind: pa.DataType) -> str:
    """Return a type as one word of several that mean the same here."""
    return str(kind).replace("large_", "").replace("item:", "element:").replace(" not null", "")


def _chunks(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
