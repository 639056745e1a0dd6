"""Parquet and Arrow files of a few kilobytes that unpack to gigabytes: an error of the file or of a record, and no end of the process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import InputError
from jobs.formats import Options, bounded
from jobs.formats.opening import MAX_LINE_BYTES
from jobs.vectors.given import check_vectors
from tests.formats.reading import read

pytestmark = pytest.mark.attack("Parquet and Arrow bombs")
TEXTS = ("query", "positive", "negative")
BOUND = 256 << 20


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_BYTES", BOUND)


def repeated(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False, **options)
    return path


@pytest.mark.parametrize(("megabytes", "rows"), [(1, 100_000), (20, 1000)])
def test_a_dictionary_whose_value_stands_in_every_row_is_an_error_of_the_file(
    tmp_path: Path, megabytes: int, rows: int
) -> None:
    columns = {
        "query": repeated("x" * (megabytes << 20), rows),
        "positive": repeated("p", rows),
        "negative": repeated("n", rows),
    }
    path = written(tmp_path / "x.parquet", columns, dictionary_pagesize_limit=1 << 30)
    assert path.stat().st_size < 10_000
    before = resource.getrlimit(resource.RLIMIT_DATA)
    found = read("triples", path, Options(source="s"))
    assert found.rejects["reason"].to_list() == ["bad_record"] and len(found.rows) == 0
    assert "nothing can be read from here on" in found.rejects["detail"][0]
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_list_of_a_large_value_many_times_is_an_error_of_the_file(tmp_path: Path) -> None:
    values = repeated("x" * (1 << 20), 5000)
    negatives = pa.ListArray.from_arrays(pa.array([0, 5000], pa.int32()), values)
    columns = {"query": ["q"], "pos": [["p"]], "neg": negatives}
    found = read("bge", written(tmp_path / "x.parquet", columns, dictionary_pagesize_limit=1 << 30))
    assert len(found.rows) == 0 and len(found.rejects) == 1


def test_a_page_of_more_than_the_bound_is_an_error_of_the_file(tmp_path: Path) -> None:
    columns = {"query": ["x" * (2 * BOUND)], "positive": ["p"], "negative": ["n"]}
    path = written(tmp_path / "x.parquet", columns, use_dictionary=False)
    assert path.stat().st_size < 100_000
    found = read("triples", path, Options(source="s"))
    assert len(found.rows) == 0 and len(found.rejects) == 1


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_record_over_the_limit_is_a_reject_and_those_around_it_are_read(tmp_path: Path, kind: str) -> None:
    table = pa.table({"query": ["a", "x" * (MAX_LINE_BYTES + 1), "c"], "positive": ["p"] * 3, "negative": ["n"] * 3})
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, compression="zstd")
    else:
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as out:
            out.write_table(table)
    found = read("triples", path, Options(source="s"))
    assert found.rows["query"].to_list() == ["a", "c"]
    assert found.rejects.select("row", "detail").rows() == [(1, bounded.LIMIT)]


@pytest.mark.parametrize("depth", [90, 500, 3000])
def test_a_schema_of_any_depth_is_passed_by_or_refused_in_one_line(tmp_path: Path, depth: int) -> None:
    deep = pa.string()
    for _ in range(depth):
        deep = pa.struct([("a", deep)])
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        columns = {**{name: ["x"] for name in TEXTS}, "deep": pa.nulls(1, deep)}
        path = written(tmp_path / "x.parquet", columns)
    finally:
        sys.setrecursionlimit(limit)
    if depth < 100:
        assert len(read("triples", path, Options(source="s")).rows) == 1
    else:
        with pytest.raises(InputError, match="too deeply nested") as refused:
            read("triples", path, Options(source="s"))
        assert "\n" not in str(refused.value)


def test_a_footer_over_the_limit_of_thrift_is_refused_in_one_line(tmp_path: Path) -> None:
    table = pa.table({name: ["x"] for name in TEXTS}).replace_schema_metadata({"x": "y" * (90 << 20)})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match="cannot be opened as Parquet: .*size limit"):
        read("triples", tmp_path / "x.parquet", Options(source="s"))


def test_thousands_of_row_groups_are_read(tmp_path: Path) -> None:
    columns = {name: [f"{name} {i}" for i in range(3000)] for name in TEXTS}
    path = written(tmp_path / "x.parquet", columns, row_group_size=1)
    assert len(read("triples", path, Options(source="s")).rows) == 3000


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_a_damaged_vectors_file_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    vectors = pa.array(np.random.default_rng(0).standard_normal((500, 8)).tolist(), pa.list_(pa.float32()))
    columns = {"text": [f"t{i}" for i in range(500)], "side": ["query"] * 500, "vector": vectors}
    path = written(tmp_path / "v.parquet", columns, use_dictionary=False)
    data = path.read_bytes()
    middle = pq.read_metadata(path).row_group(0).column(2).data_page_offset
    path.write_bytes(data[:middle] + bytes(3000) + data[middle + 3000 :] if damage == "zeros" else data[:middle])
    with pytest.raises(InputError, match="v.parquet: cannot be (read|opened)") as refused:
        check_vectors(str(path))
    assert "\n" not in str(refused.value)
