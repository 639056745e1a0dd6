"""Runs that an older version wrote stay readable: a column that has been added since is null for their rows."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from jobs.output.catalog import write_catalog
from jobs.output.query import query
from jobs.output.store import Store
from tests.conftest import run_lake, signed_again
from tests.lakes import vector_lake, write_triples


def test_a_history_with_an_older_table_has_nulls_for_the_new_column(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 100, sources=2)
    first = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4)
    file = tmp_path / "out" / "runs" / first.run_id / "source_eci.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["sample_share"]), file)
    signed_again(file.parent)
    write_triples(lake.triples, lake.rows[:-1])
    second = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4)
    store = Store(str(tmp_path / "out"))
    rows = (
        query(store, "SELECT run_id, sample_share FROM source_eci_history WHERE kind = 'source'").read_all().to_pylist()
    )
    assert {(row["run_id"], row["sample_share"]) for row in rows} == {(first.run_id, None), (second.run_id, 1.0)}
    write_catalog(store)
    with duckdb.connect(str(tmp_path / "out" / "catalog.duckdb"), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM scores").fetchall() == [(99,)]
        comments = con.sql("SELECT comment FROM duckdb_columns() WHERE table_name = 'scores'").fetchall()
    assert comments and all(comment for (comment,) in comments)
    assert (
        json.loads((tmp_path / "out" / "runs" / second.run_id / "manifest.json").read_text())["totals"]["scored"] == 99
    )
