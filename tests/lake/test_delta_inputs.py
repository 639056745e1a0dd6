"""A Delta table as input: the rows of one version and no others, whatever its files look like."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.errors import InputError
from jobs.formats.columnar import rows_taken
from jobs.lakes.naming import any_version
from jobs.lakes.tables import files_of, pinned
from tests.conftest import run_lake, tables_of
from tests.lake.tables import delete_by_vector, ingested, rows, table_of
from tests.lakes import VectorLake

pytest.importorskip("deltalake")

from deltalake import DeltaTable, write_deltalake


def test_a_table_gives_the_rows_of_its_newest_version_and_an_older_one_those_of_that(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(table, table_of(rows("bm25", 5)))
    write_deltalake(table, table_of(rows("llm", 3)), mode="append")
    write_deltalake(table, table_of(rows("dense", 4)), mode="overwrite")
    DeltaTable(table).delete("query = 'query 2'")
    kept = [row for row in rows("dense", 4) if row[0] != "query 2"]
    for named in (f"delta:{table}", str(table), f"delta:{table}@3"):
        found, said = ingested(tmp_path, named)
        assert found == kept
        assert said[0]["version"] == 3
    assert ingested(tmp_path, f"delta:{table}@1")[0] == sorted(rows("bm25", 5) + rows("llm", 3))


def test_partitions_are_columns_whatever_is_in_their_names(tmp_path: Path) -> None:
    table = tmp_path / "t"
    names = ["bm25", "llm gen/1", "ä=b%20c", "o'neil!#?"]
    given = [row for name in names for row in rows(name, 2)]
    write_deltalake(table, table_of(given), partition_by=["source"])
    assert ingested(tmp_path, str(table))[0] == sorted(given)


def test_a_row_without_a_source_is_not_named_after_its_folder(tmp_path: Path) -> None:
    table = tmp_path / "t"
    lacking = table_of(rows("bm25", 2)).set_column(3, "source", pa.array(["bm25", None], pa.string()))
    write_deltalake(table, lacking, partition_by=["source"])
    found, _ = ingested(tmp_path, str(table))
    assert found == rows("bm25", 1)


def test_columns_that_came_later_are_null_before(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(table, table_of(rows("bm25", 2)).drop_columns("source"))
    write_deltalake(table, table_of(rows("llm", 2)), mode="append", schema_mode="merge")
    found, _ = ingested(tmp_path, str(table))
    assert found == rows("llm", 2)  # those before have no source, and are rejected for it
    assert len(ingested(tmp_path, str(table), source="one")[0]) == 4


def test_rows_that_a_deletion_vector_takes_are_not_read(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(table, table_of(rows("bm25", 9)))
    delete_by_vector(table, [0, 4, 8])
    assert len(pa.table(DeltaTable(table).scan())) == 6
    kept = [row for i, row in enumerate(rows("bm25", 9)) if i not in (0, 4, 8)]
    assert ingested(tmp_path, str(table))[0] == kept
    found, said = ingested(tmp_path, str(table), where="query in ('query 0', 'query 1')")
    assert found == rows("bm25", 1, 1)
    assert said[0]["rows_left_out"] == 5
    (file,) = files_of(pinned(f"delta:{table}", "query in ('query 0', 'query 1')"))
    assert rows_taken(file) == (1, False)  # one of six, of nine as written


def test_a_deletion_vector_is_that_of_its_file_whatever_the_folder_is_called(tmp_path: Path) -> None:
    table = tmp_path / "ä b" / "t"
    write_deltalake(table, table_of(rows("llm gen/1%", 4)), partition_by=["source"])
    delete_by_vector(table, [1])
    assert ingested(tmp_path, str(table))[0] == [row for i, row in enumerate(rows("llm gen/1%", 4)) if i != 1]


def test_columns_that_are_renamed_by_column_mapping_are_found(tmp_path: Path) -> None:
    table = tmp_path / "t"
    schema = pa.schema([(name, pa.string()) for name in ("query", "positive", "negative", "source")])
    mapped = {"delta.columnMapping.mode": "name"}
    DeltaTable.create(table, schema, configuration=mapped, partition_by=["source"])
    write_deltalake(table, table_of(rows("bm25", 4)), mode="append")
    write_deltalake(table, table_of(rows("llm", 4)), mode="append")
    assert ingested(tmp_path, str(table))[0] == sorted(rows("bm25", 4) + rows("llm", 4))
    found, said = ingested(tmp_path, str(table), where="source = 'llm' and query > 'query 1'")
    assert found == rows("llm", 2, 2)
    assert (said[0]["files"], said[0]["files_left_out"], said[0]["rows_left_out"]) == (1, 1, 6)


def test_where_reads_only_the_files_that_can_hold_a_row_and_counts_the_others(tmp_path: Path) -> None:
    table = tmp_path / "t"
    for day, source in enumerate(("bm25", "llm", "dense"), start=1):
        write_deltalake(table, table_of(rows(source, 10), day), mode="append", partition_by=["day"])
    broken = next(path for path in table.rglob("day=2026-11-01/*.parquet"))
    broken.write_bytes(b"not Parquet")  # a file that is left out is not opened
    found, said = ingested(tmp_path, str(table), where="day >= '2026-11-02' and (source = 'llm' or query = 'query 7')")
    assert found == sorted([*rows("llm", 10), *rows("dense", 1, 7)])
    assert said == [
        {
            "table": f"delta:{table}", "version": 2, "files": 2, "files_left_out": 1, "rows_left_out": 10 + 9,
            "where": "day >= '2026-11-02' and (source = 'llm' or query = 'query 7')",
        }
    ]  # fmt: skip


def test_a_plan_says_which_version_and_about_how_many_rows_it_takes(tmp_path: Path, eci: Any) -> None:
    for day, source in enumerate(("bm25", "llm"), start=1):
        write_deltalake(tmp_path / "t", table_of(rows(source, 40), day), mode="append", partition_by=["day"])
    planned = eci("plan", "--triples", "t", "--out", "out", "--where", "day = '2026-11-02' and query < 'query 2'")
    assert planned.returncode == 0, planned.stderr
    assert ": about 12 rows" in planned.stdout  # query 0, 1, 10 .. 19
    assert (
        f"delta:{tmp_path}/t at version 1: 1 of its files, and not the other 1: --where excludes them" in planned.stdout
    )


def test_a_file_that_two_versions_have_is_the_same_in_a_comparison() -> None:
    assert (
        any_version("delta:/t@3!a.parquet")
        == any_version("delta:/t@4!a.parquet")
        != any_version("delta:/u@4!a.parquet")
    )
    assert any_version("/t@3/a.parquet") == "/t@3/a.parquet"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("day > '2027-01-01'", "none of its 1 files can hold a row"),
        ("negative = 'negative bm25 1x'", "none of its rows is one where"),
        ("dya > '2027-01-01'", "no column 'dya'; did you mean 'day'"),
    ],
)
def test_a_condition_that_takes_nothing_is_said(tmp_path: Path, where: str, said: str) -> None:
    write_deltalake(tmp_path / "t", table_of(rows("bm25", 3), 1))
    with pytest.raises(InputError, match=said):
        ingested(tmp_path, str(tmp_path / "t"), where=where)


def test_files_that_the_table_has_given_up_are_named(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(table, table_of(rows("bm25", 3)))
    write_deltalake(table, table_of(rows("llm", 3)), mode="overwrite")
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(InputError, match="the table has given up the file") as refused:
        ingested(tmp_path, f"delta:{table}@0")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("delta:{}/nothing", "no Delta table is there"),
        ("delta:{}", "no Delta table is there"),
        ("delta:{}/t@99", "at version 99"),
    ],
)
def test_a_table_or_version_that_is_not_there_is_said_in_one_line(tmp_path: Path, named: str, said: str) -> None:
    write_deltalake(tmp_path / "t", table_of(rows("bm25", 3)))
    with pytest.raises(InputError, match=said) as refused:
        ingested(tmp_path, named.format(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_table_that_needs_what_is_not_known_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(table, table_of(rows("bm25", 3)))
    new = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["ofTheFuture"],
        "writerFeatures": ["ofTheFuture"],
    }
    (table / "_delta_log" / f"{1:020}.json").write_text(json.dumps({"protocol": new}) + "\n")
    with pytest.raises(InputError, match="ofTheFuture"):
        ingested(tmp_path, str(table))


def test_a_run_over_tables_is_that_over_their_files(tmp_path: Path, small_lake: VectorLake) -> None:
    """Triples, vectors: scores and sums are those of plain files; the run names the versions, and stands while they do."""
    import pyarrow.parquet as pq

    for name, path in (("triples", small_lake.triples), ("vectors", small_lake.vectors)):
        whole = pq.read_table(path)
        write_deltalake(tmp_path / name, whole.slice(0, 1))
        write_deltalake(tmp_path / name, whole, mode="overwrite")
    settings: dict[str, Any] = {"folds": 4, "buckets": 2, "no_probe": True}
    plain = run_lake(tmp_path / "plain", small_lake.triples, vectors=str(small_lake.vectors), **settings)
    given = {"vectors": f"delta:{tmp_path / 'vectors'}", **settings}
    found = run_lake(tmp_path / "out", f"delta:{tmp_path / 'triples'}", **given)
    ours, theirs = tables_of(tmp_path / "out", found.run_id), tables_of(tmp_path / "plain", plain.run_id)
    assert ours == theirs
    manifest = json.loads((tmp_path / "out" / "runs" / found.run_id / "manifest.json").read_text())
    assert [(table["table"], table["version"]) for table in manifest["tables"]] == [
        (f"delta:{tmp_path / 'vectors'}", 1), (f"delta:{tmp_path / 'triples'}", 1)
    ]  # fmt: skip
    assert {file["path"].partition("!")[0] for file in manifest["inputs"]} == {
        f"delta:{tmp_path / name}@1" for name in ("triples", "vectors")
    }
    assert run_lake(tmp_path / "out", f"delta:{tmp_path / 'triples'}", **given).unchanged
    write_deltalake(tmp_path / "triples", pq.read_table(small_lake.triples).slice(0, 1), mode="append")
    assert not run_lake(tmp_path / "out", f"delta:{tmp_path / 'triples'}", **given).unchanged


def test_texts_by_id_and_settings_files_take_tables(tmp_path: Path, eci: Any) -> None:
    write_deltalake(tmp_path / "corpus", pa.table({"id": ["p1", "n1"], "text": ["a positive", "a negative"]}))
    write_deltalake(tmp_path / "queries", pa.table({"id": ["q1"], "text": ["a query"]}))
    ids = pa.table({"query_id": ["q1"], "positive_id": ["p1"], "negative_id": ["n1"], "source": ["bm25"]})
    write_deltalake(tmp_path / "triples", ids)
    done = eci("ingest", "--triples", "triples", "--corpus", "delta:corpus", "--queries", "queries", "--to", "to")
    assert done.returncode == 0, done.stderr
    assert f"Read delta:{tmp_path}/triples at version 0: 1 file." in done.stdout
    found = pa.parquet.read_table(tmp_path / "to" / "000000.parquet").to_pylist()  # type: ignore[attr-defined]
    assert [found[0][name] for name in ("query", "positive", "negative")] == ["a query", "a positive", "a negative"]
    os.makedirs(tmp_path / "etc")
    settings = 'out = "out"\ncorpus = ["../corpus"]\nqueries = ["delta:../queries@0"]\n[[inputs]]\ntriples = "delta:../triples"\n'
    (tmp_path / "etc" / "nightly.toml").write_text(settings)
    planned = eci("plan", "etc/nightly.toml", "--json")
    assert planned.returncode == 0, planned.stderr
    tables = json.loads(planned.stdout)["tables"]
    assert [(Path(table["table"]).name, table["version"]) for table in tables] == [
        ("corpus", 0),
        ("queries", 0),
        ("triples", 0),
    ]
