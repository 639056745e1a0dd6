"""`eci sql` reads the tables of OUT and nothing else, and changes nothing."""

from __future__ import annotations

import shutil

import pytest

from jobs.errors import InputError
from jobs.output.catalog import query
from jobs.output.runs import latest
from jobs.output.store import Store
from tests.hostile import SCRIPT, hostile_out


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside.csv"
    path.write_text("a\n1\n")
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM read_text('{out}/runs/../../../{up}')",
        "SELECT * FROM read_csv('{out}/runs/../LATEST')",
        "SELECT * FROM read_text('{out}/catalog.duckdb')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '{out}/runs/x.csv'",
        "ATTACH '{out}/catalog.duckdb'",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW scores",
        "INSTALL httpfs",
        "PRAGMA database_list",
        "CALL pragma_version()",
    ],
)
def test_what_is_not_a_look_at_the_tables_is_refused(sql, outside):
    out = hostile_out()
    with pytest.raises(InputError):
        reader = query(Store(str(out)), sql.format(outside=outside, out=out, up=str(outside).lstrip("/")))
        if reader.read_all().num_rows == 0:
            raise InputError("nothing was found")
    assert not (out / "runs" / "x.csv").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "FROM source_eci",
        "SHOW TABLES",
        "DESCRIBE scores",
        "EXPLAIN SELECT 1",
        "SUMMARIZE idf",
        "WITH a AS (SELECT 1 AS b) FROM a",
    ],
)
def test_looks_of_every_kind_are_answered(sql):
    assert query(Store(str(hostile_out())), sql).read_all().num_rows > 0


def test_a_name_with_quotes_and_brackets_is_only_a_value():
    found = query(
        Store(str(hostile_out())),
        f"SELECT count(*) AS n FROM scores WHERE source = '{SCRIPT.replace(chr(39), chr(39) * 2)}'",
    )
    assert found.read_all()["n"][0].as_py() > 0


def test_the_catalog_file_opens_read_only_with_plain_duckdb():
    import duckdb

    with duckdb.connect(str(hostile_out() / "catalog.duckdb"), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM source_eci WHERE kind = 'source'").fetchall() == [(5,)]
        assert con.sql("SELECT count(*) FROM runs").fetchall() == [(2,)]


def test_sql_follows_an_output_root_that_was_moved(tmp_path):
    shutil.copytree(hostile_out(), tmp_path / "moved it's here", ignore=shutil.ignore_patterns("cache"))
    moved = Store(str(tmp_path / "moved it's here"))
    row = query(moved, "SELECT DISTINCT run_id FROM source_eci").read_all()
    assert row["run_id"].to_pylist() == [latest(moved)]
