"""An Iceberg table as input: the rows of one snapshot, in a catalog or by its metadata file, whatever its files look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import InputError
from tests.lake.tables import ingested, rows, table_of

pytest.importorskip("pyiceberg")

from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, StringType


@pytest.fixture
def catalog(catalog: Any) -> Any:
    """The catalog with the namespace `lake`."""
    catalog.create_namespace("lake")
    return catalog


NAME = "iceberg:nightly/lake.t"


def test_a_table_gives_the_rows_of_its_newest_snapshot_and_an_older_one_those_of_that(
    tmp_path: Path, catalog: Any
) -> None:
    table = catalog.create_table("lake.t", table_of([]).schema)
    table.append(table_of(rows("bm25", 5)))
    first = table.current_snapshot().snapshot_id
    table.append(table_of(rows("llm", 3)))
    table.delete(EqualTo("query", "query 1"))
    kept = sorted(row for row in rows("bm25", 5) + rows("llm", 3) if row[0] != "query 1")
    found, said = ingested(tmp_path, NAME)
    assert found == kept
    assert (said[0]["table"], said[0]["version"]) == (NAME, catalog.load_table("lake.t").current_snapshot().snapshot_id)
    assert ingested(tmp_path, f"{NAME}@{first}")[0] == rows("bm25", 5)
    newest = catalog.load_table("lake.t").metadata_location
    assert ingested(tmp_path, f"iceberg:{newest}")[0] == kept


def test_renamed_and_new_columns_are_found_by_their_ids(tmp_path: Path, catalog: Any) -> None:
    table = catalog.create_table("lake.t", table_of([]).schema.append(pa.field("n", pa.int32())))
    table.append(table_of(rows("bm25", 2)).append_column("n", pa.array([1, 2], pa.int32())))
    for before, after in (("negative", "wrong"), ("positive", "negative"), ("wrong", "positive")):
        with table.update_schema() as update:
            update.rename_column(before, after)
    with table.update_schema() as update:
        update.update_column("n", field_type=LongType())
        update.add_column("note", StringType())
    swapped = [(query, negative, positive, source) for query, positive, negative, source in rows("bm25", 2)]
    assert ingested(tmp_path, NAME)[0] == swapped
    assert ingested(tmp_path, NAME, where="n > 1")[0] == swapped[1:]


def test_where_reads_only_the_files_that_can_hold_a_row_and_counts_the_others(tmp_path: Path, catalog: Any) -> None:
    schema = table_of([], 1).schema
    table = catalog.create_table("lake.t", schema)
    with table.update_spec() as update:
        update.add_identity("source")
    for day, source in enumerate(("bm25", "llm", "dense"), start=1):
        table.append(table_of(rows(source, 10), day))
    where = "source != 'bm25' and day >= '2026-11-02' and query < 'query 4'"
    found, said = ingested(tmp_path, NAME, where=where)
    assert found == sorted([*rows("llm", 4), *rows("dense", 4)])
    assert (said[0]["files"], said[0]["files_left_out"], said[0]["rows_left_out"]) == (2, 1, 22)


def test_rows_that_are_deleted_by_position_are_not_read(tmp_path: Path, catalog: Any) -> None:
    """Written as Spark does (merge on read), which pyiceberg does not write."""
    table = catalog.create_table("lake.t", table_of([]).schema, properties={"format-version": "2"})
    table.append(table_of(rows("bm25", 6)))
    _delete_by_position(table, tmp_path / "warehouse", [0, 5])
    assert ingested(tmp_path, NAME)[0] == rows("bm25", 4, 1)


class _Deletes(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def _delete_by_position(table: Any, folder: Path, positions: list[int]) -> None:
    """Add a file of deletes to the newest snapshot's list of manifests."""
    (data,) = [task.file for task in table.scan().plan_files()]
    path = folder / "deletes.parquet"
    pq.write_table(
        pa.table({"file_path": [data.file_path] * len(positions), "pos": pa.array(positions, pa.int64())}), path
    )
    snapshot = table.current_snapshot()
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=f"file://{path}", file_format=FileFormat.PARQUET,
        partition=Record(), record_count=len(positions), file_size_in_bytes=path.stat().st_size,
    )  # fmt: skip
    file.spec_id = table.spec().spec_id
    output = table.io.new_output(f"file://{folder}/deletes.avro")
    with _Deletes(table.spec(), table.schema(), output, snapshot.snapshot_id, "deflate") as writer:
        entry = ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED, snapshot_id=snapshot.snapshot_id, sequence_number=2, data_file=file
        )
        writer.add_entry(entry)
    manifests = [*snapshot.manifests(table.io), writer.to_manifest_file()]
    Path(snapshot.manifest_list.removeprefix("file://")).unlink()
    output = table.io.new_output(snapshot.manifest_list)
    with write_manifest_list(2, output, snapshot.snapshot_id, None, 2, "deflate") as listing:
        listing.add_manifests(manifests)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("iceberg:nightly/lake.nothing", "cannot be opened in the catalog 'nightly'"),
        ("iceberg:nothing/lake.t", "PYICEBERG_CATALOG__NOTHING__URI"),
        ("iceberg:nightly", "is iceberg:CATALOG/NAMESPACE.TABLE"),
        (f"{NAME}@4711", "no snapshot 4711"),
    ],
)
def test_a_table_or_snapshot_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, catalog: Any, named: str, said: str
) -> None:
    catalog.create_table("lake.t", table_of([]).schema).append(table_of(rows("bm25", 1)))
    with pytest.raises(InputError, match=said) as refused:
        ingested(tmp_path, named)
    assert "\n" not in str(refused.value)


def test_the_folder_of_a_table_is_refused_with_what_to_give(tmp_path: Path, catalog: Any) -> None:
    table = catalog.create_table("lake.t", table_of([]).schema)
    table.append(table_of(rows("bm25", 1)))
    with pytest.raises(InputError, match="is a table of Iceberg, .* iceberg:CATALOG"):
        ingested(tmp_path, table.location().removeprefix("file://"))
