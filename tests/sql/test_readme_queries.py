"""The queries of the README run, read-only, on a small lake with two runs, and find what is there."""

from __future__ import annotations

import pytest

from jobs.output.query import query
from jobs.output.store import Store
from jobs.output.tables import RUNS, TABLES, sql_type
from tests.conftest import run_lake
from tests.docs.readme import blocks
from tests.lakes import vector_lake, write_triples

NAMES = {"source 0": "bm25-top", "source 1": "dense-top", "source 2": "random"}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("queries")
    lake = vector_lake(folder / "lake", dim=8, triples=900, sources=3)
    rows = [(q, p, n, NAMES[source]) for q, p, n, source in lake.rows]
    shared = [(q, p, n, "dense-top") for q, p, n, source in rows if source == "bm25-top"][:50]
    for night in (rows[:700], rows + shared + [("", "p", "n", "random"), ("q", "p", "", "random")]):
        write_triples(lake.triples, night)
        run_lake(folder / "out", lake.triples, vectors=(str(lake.vectors),), folds=8)
    return Store(str(folder / "out"))


@pytest.mark.parametrize("sql", blocks("sql"), ids=lambda sql: " ".join(sql.split())[:40])
def test_a_query_of_the_readme_finds_rows(store, sql):
    assert query(store, sql).read_all().num_rows > 0


def test_the_readme_has_five_worked_queries():
    assert len(blocks("sql")) >= 5


def test_columns_have_the_types_that_the_readme_says(store):
    for table in (*TABLES, RUNS):
        found = {
            row["column_name"]: row["column_type"]
            for row in query(store, f"DESCRIBE {table.name}").read_all().to_pylist()
        }
        said = {column.name: sql_type(column.type) for column in table.columns}
        assert {
            k: v.replace('"', "").replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for k, v in found.items()
        } == said


def test_views_and_columns_have_comments(store):
    rows = query(store, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").read_all().to_pylist()
    assert {"source_eci", "scores", "runs", "source_eci_history"} <= {row["view_name"] for row in rows}
    assert all(row["comment"] for row in rows)
    sql = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
    assert query(store, sql).read_all().num_rows == 0
