"""What lineage calls what a run reads: names that stay from night to night, versions that change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InputError
from jobs.finished.datasets import Dataset, inputs_of
from tests.conftest import run_lake


def file(path: str, digest: str = "sha256:1", what: str = "triples") -> Any:
    return {"path": path, "size": 10, "stamp": "", "what": what, "digest": digest}


def table(name: str, version: int) -> Any:
    return {"table": name, "version": version, "where": "", "files": 1, "files_left_out": 0, "rows_left_out": 0}


def test_tables_are_named_as_their_place_or_catalog_has_them_at_their_version() -> None:
    files = [
        file("delta:/lake/mined@7!day=1/a.parquet"),
        file("delta:s3://bucket/lake/t@3!where:source = 'bm25'!a.parquet"),
        file("iceberg:nightly/mined.triples@4711.2!s3://bucket/warehouse/a.parquet"),
    ]
    tables = [table("delta:/lake/mined", 7), table("delta:s3://bucket/lake/t", 3), table("delta:/lake/none", 2)]
    found = {(one.namespace, one.name): (one.version, one.files) for one in inputs_of(files, tables, ())}
    assert found == {
        ("file", "/lake/mined"): ("7", 1),
        ("s3://bucket", "lake/t"): ("3", 1),
        ("iceberg://nightly", "mined.triples"): ("4711", 1),
        ("file", "/lake/none"): ("2", 0),  # --where excludes all of its files
    }


def test_a_file_is_itself_where_it_was_named_and_its_folder_where_a_pattern_took_it() -> None:
    files = [file("/lake/a.parquet"), file("/lake/b.parquet", "sha256:2"), file("/v.parquet", what="vectors")]
    (lake, vectors) = inputs_of([*files, file("/lake/x.txt", what="passed over: empty")], [], {"/v.parquet"}, rows=5)
    assert (lake.name, lake.rows, lake.bytes, lake.files) == ("/lake", 5, 20, 2)
    assert vectors == Dataset("file", "/v.parquet", "sha256:1", None, 10, 1)
    changed = inputs_of([files[0], file("/lake/b.parquet", "sha256:3")], [], ())[0]
    assert lake.version and changed.version and lake.version != changed.version
    assert inputs_of([file("/lake/a.parquet", "")], [], ())[0].version is None


def test_rows_are_told_of_one_dataset_alone() -> None:
    files = [file("/a/x.parquet"), file("/b/x.parquet")]
    assert [one.rows for one in inputs_of(files, [], (), rows=5)] == [None, None]


def test_the_extra_is_named_where_the_client_is_not_there_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openlineage", None)
    with pytest.raises(
        InputError, match=r"--lineage .*x.jsonl: lineage needs the package openlineage: install 'eci-lake\[lineage\]'"
    ):
        run_lake(tmp_path / "out", "nothing.parquet", lineage=str(tmp_path / "x.jsonl"))
    assert not list(tmp_path.iterdir())
