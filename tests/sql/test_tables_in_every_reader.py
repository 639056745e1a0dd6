"""Every published table, file or folder, opens with default arguments in every reader, with the same rows and types.

One difference is pandas' own, and documented: its default types have no whole number that is missing, so a column of whole
numbers with nulls (`rank` of mixtures) is of doubles there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs.decide.ablation import ablate
from jobs.ids import text_id
from jobs.output.tables import ABLATIONS, TABLES, Table
from jobs.terminal.progress import Silent
from tests.conftest import run_lake
from tests.lakes import vector_lake, write_triples

EVERY = (*TABLES, ABLATIONS)
# of the lake below: 600 triples of 3 sources in 4 folds, and two rows with an empty text; its probe tries the sources and
# their three pairs, and judges after 25, 50, 100 and 200 steps
ROWS = {
    "scores": 600,
    "rejects": 2,
    "moments": 3,
    "source_pairs": 6,
    "source_probe": 6,
    "probe_curve": 24,
    "judgements": 2,
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readers")
    lake = vector_lake(folder / "lake", 8, 600, sources=3, queries=300)
    first = lake.rows[0]
    write_triples(lake.triples, [*lake.rows, (first[0], first[1], " ", "source 0"), (" ", *first[1:])])
    pairs = [
        (text_id("query", query).hex(), text_id("passage", negative).hex()) for query, _, negative, _ in lake.rows[:2]
    ]
    marks = [{"query_id": query, "negative_id": negative, "judgement": "fine"} for query, negative in pairs]
    (folder / "marks.json").write_text(json.dumps({"format": "eci-judgements/1", "judgements": marks}))
    given = {"vectors": str(lake.vectors), "judgements": str(folder / "marks.json")}
    run_lake(folder / "out", lake.triples, folds=4, buckets=8, **given)
    ablate(str(folder / "out"), Silent(), only=["sample"])
    # what `eci ablate --encoder` keeps must not lie among the files of a table
    (folder / "out" / "ablation-encoders" / "another").mkdir(parents=True)
    (folder / "out" / "ablation-encoders" / "another" / ".eci-root").write_text("{}")
    return folder / "out"


def place_of(out: Path, table: Table) -> str:
    """Return what a user gives to a reader: the table's file or folder."""
    run = out if table is ABLATIONS else out / "runs" / (out / "LATEST").read_text().strip()
    return str(run / table.files).rstrip("/")


def expected(out: Path, table: Table) -> pa.Table:
    """Return a table's rows, file by file as the manifest names them."""
    if table is ABLATIONS:
        paths = list(Path(place_of(out, table)).glob("*.parquet"))
    else:
        folder = out / "runs" / (out / "LATEST").read_text().strip()
        files = json.loads((folder / "manifest.json").read_text())["files"]
        paths = [folder / file["path"] for file in files if file["table"] == table.name]
    found = pa.concat_tables(pq.ParquetFile(path).read() for path in paths)
    assert found.schema.equals(table.schema) and len(found) == ROWS.get(table.name, len(found)) > 0
    return found


def of_duckdb(place: str) -> pa.Table:
    con = duckdb.connect()
    found: pa.Table = con.sql(f"FROM read_parquet('{place}')").to_arrow_table()
    named = place if place.endswith(".parquet") else f"{place}/*.parquet"  # as a dashboard would have it
    assert con.sql(f"SELECT count(*) FROM '{named}'").fetchall() == [(len(found),)]
    return found


def of_pandas(place: str) -> pa.Table:
    return pa.Table.from_pandas(pd.read_parquet(place), preserve_index=False)


def of_dask(place: str) -> pa.Table:
    return pa.Table.from_pandas(dd.read_parquet(place).compute(), preserve_index=False)


def of_spark(place: str) -> pa.Table:
    pytest.importorskip("pyspark", minversion="4.0")  # that of `make lake` has no toArrow
    from pyspark import sql

    session = sql.SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    return session.read.parquet(place).toArrow()


READERS: dict[str, Callable[[str], pa.Table]] = {
    "pyarrow.parquet": pq.read_table,
    "pyarrow.dataset": lambda place: ds.dataset(place).to_table(),
    "polars": lambda place: pl.read_parquet(place).to_arrow(compat_level=pl.CompatLevel.oldest()),
    "polars lazily": lambda place: pl.scan_parquet(place).collect().to_arrow(compat_level=pl.CompatLevel.oldest()),
    "duckdb": of_duckdb,
    "pandas": of_pandas,
    "dask": of_dask,
    "spark": of_spark,
}
PANDAS = ("pandas", "dask")


def plain(kind: pa.DataType) -> Any:
    """Return a type without what has no meaning: the width of offsets, names of a list's items, of the time zone."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [plain(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: plain(field.type) for field in kind}
    if pa.types.is_timestamp(kind):
        return kind.unit, kind.tz is not None
    return pa.string() if kind in (pa.large_string(), pa.string_view()) else kind


def as_pandas_has_it(table: pa.Table) -> list[Any]:
    """Return the types of a table's columns in pandas: whole numbers with nulls among them are doubles."""
    return [
        pa.float64() if pa.types.is_integer(column.type) and column.null_count else plain(column.type)
        for column in table.columns
    ]


def rows_of(table: pa.Table) -> list[str]:
    def shown(value: Any) -> str:
        return str(value.astimezone(UTC) if isinstance(value, datetime) else value)

    return sorted(json.dumps(row, default=shown, sort_keys=True) for row in table.to_pylist())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_a_table_has_the_same_rows_and_types(out: Path, table: Table, reader: str) -> None:
    want, found = expected(out, table), READERS[reader](place_of(out, table))
    assert found.schema.names == table.schema.names
    types = as_pandas_has_it(want) if reader in PANDAS else [plain(kind) for kind in table.schema.types]
    assert [plain(kind) for kind in found.schema.types] == types
    if reader in PANDAS:
        found = found.cast(pa.schema(zip(table.schema.names, table.schema.types, strict=True)))
    assert rows_of(found) == rows_of(want)


def test_ids_are_sorted_joined_and_counted_by_pyarrow(out: Path) -> None:
    tables = {table.name: pq.read_table(place_of(out, table)) for table in EVERY}
    ordered = tables["scores"].sort_by("triple_id")["triple_id"].to_pylist()
    assert ordered == sorted(set(ordered)) and len(ordered) == 600
    texts = tables["texts"].select(["text_id", "text"])
    joined = tables["scores"].join(texts, "query_id", "text_id", join_type="inner")
    assert len(joined) == 600 and all(text.startswith("query ") for text in joined["text"].to_pylist())
    assert tables["scores"].group_by("query_id").aggregate([]).num_rows == len(set(joined["query_id"].to_pylist()))


def test_no_folder_and_no_file_of_a_run_is_named_like_a_column(out: Path) -> None:
    assert not [path for path in (out / "runs").rglob("*") if "=" in path.name]
