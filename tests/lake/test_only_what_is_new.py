"""A night over a table reads the files alone that its log has added, and publishes the bytes of a run from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.lake.tables import delete_by_vector, table_of
from tests.lakes import vector_lake
from tests.nights import Nights

pytest.importorskip("deltalake")
pytest.importorskip("pyiceberg")

from deltalake import DeltaTable, write_deltalake
from pyiceberg.expressions import EqualTo


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    found = Nights(tmp_path, vector_lake(tmp_path / "lake", 8, 400, sources=2, queries=60))
    found.triples = f"delta:{tmp_path / 'table'}"
    return found


def test_a_history_of_a_delta_table(nights: Nights, tmp_path: Path) -> None:
    """Files read and files kept, after each change of the table."""
    lake, table = vector_lake(tmp_path / "again", 8, 400, sources=2, queries=60), tmp_path / "table"
    rows = lake.rows
    query, positive, negative, source = rows[0]

    def add(start: int, stop: int, mode: str = "append") -> None:
        more = [rows[0], (query, negative, rows[1][2], source), (query, positive, positive, source)]
        write_deltalake(table, table_of([*rows[start:stop], *more]), mode=mode)

    add(0, 100)
    assert nights.night() == (1, 0)
    add(100, 200)
    assert nights.night() == (1, 1)
    add(200, 220)
    DeltaTable(table).delete(f"query = '{rows[150][0]}'")  # writes anew what holds such rows
    read, kept = nights.night()
    assert read and kept and read + kept == len(DeltaTable(table).file_uris())
    DeltaTable(table).optimize.compact()
    assert nights.night() == (1, 0)
    before = DeltaTable(table).version()
    delete_by_vector(table, [0, 7])  # the same file, without two rows
    assert nights.night() == (1, 0)
    add(300, 400, "overwrite")
    assert nights.night() == (1, 0)
    add(250, 300)
    assert nights.night() == (1, 1)
    nights.triples += f"@{before}"
    assert nights.night() == (1, 0)


def test_a_condition_and_a_column_that_came_decide_on_what_is_read_of_the_same_file(
    nights: Nights, tmp_path: Path
) -> None:
    table = tmp_path / "table"
    rows = vector_lake(tmp_path / "again", 8, 400, sources=2, queries=60).rows
    for day in (1, 2):
        write_deltalake(table, table_of(rows[150 * day - 150 : 150 * day], day), mode="append", partition_by=["day"])
    assert nights.night() == (2, 0)
    where = [{"triples": nights.triples, "where": "source = 'source 0' or day > '2026-11-01'"}]
    nights.settings["inputs"] = where
    assert nights.night() == (2, 0)
    more = table_of(rows[300:], 3).append_column("note", pa.array(["x"] * 100))
    write_deltalake(table, more, mode="append", schema_mode="merge", partition_by=["day"])
    # what the table's columns are is a part of how each of its files is read
    assert nights.night() == (3, 0)
    write_deltalake(table, more.slice(0, 3), mode="append", partition_by=["day"])
    assert nights.night() == (1, 3)


def test_a_history_of_an_iceberg_table(nights: Nights, catalog: Any, tmp_path: Path) -> None:
    rows = vector_lake(tmp_path / "again", 8, 400, sources=2, queries=60).rows
    catalog.create_namespace("lake")
    table = catalog.create_table("lake.t", table_of([]).schema)
    nights.triples = "iceberg:nightly/lake.t"
    table.append(table_of(rows[:100]))
    table.append(table_of(rows[100:150]))
    assert nights.night() == (2, 0)
    first = table.current_snapshot().snapshot_id
    table.append(table_of(rows[150:200]))
    assert nights.night() == (1, 2)
    table.delete(EqualTo("query", rows[120][0]))
    read, kept = nights.night()
    assert 1 <= read <= 3 and read + kept == 3
    nights.triples += f"@{first}"
    read, kept = nights.night()
    assert read + kept == 2 and read >= 1
