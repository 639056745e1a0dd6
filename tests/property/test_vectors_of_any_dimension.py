"""Vectors of any dimension and number go through files of lists, work files, slices and caches, and stay what they were."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ids import id_array, text_id, unique
from jobs.output.store import Store
from jobs.vectors.cache import Cache
from jobs.vectors.columns import as_binary, matrix_of, unit_rows, unit_scale
from jobs.vectors.given import as_matrix
from tests.conftest import run_lake
from tests.lakes import vector_lake
from tests.parity import literal
from tests.parity.test_run_equals_literal import literal_rows

pytestmark = pytest.mark.attack("dimensions")

# every small one, the edges of the words that Arrow fills buffers up to, and any
DIMENSIONS = st.one_of(st.integers(1, 70), st.sampled_from([101, 127, 129, 383, 385, 4095, 4096]), st.integers(1, 4096))
ROWS = st.integers(0, 40)


def drawn(rows: int, dim: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(rows * 5000 + dim).standard_normal((rows, dim)).astype(dtype)


def through_ipc(column: pa.Array) -> pa.Array:
    """The column as a reader of an Arrow file has it: its buffer is filled up."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([column], names=["vector"])
    with pa.ipc.new_file(sink, batch.schema) as out:
        out.write_batch(batch)
    return pa.ipc.open_file(sink.getvalue()).get_batch(0)["vector"]


@settings(max_examples=150, deadline=None)
@given(DIMENSIONS, ROWS, st.sampled_from([np.float16, np.float32]), st.data())
def test_a_column_of_vectors_is_the_matrix_that_it_was_made_of(
    dim: int, rows: int, dtype: type, data: st.DataObject
) -> None:
    matrix = drawn(rows, dim, dtype)
    start = data.draw(st.integers(0, rows))
    end = data.draw(st.integers(start, rows))
    for column in (as_binary(matrix), through_ipc(as_binary(matrix))):
        np.testing.assert_array_equal(matrix_of(column, dtype, dim), matrix)
        np.testing.assert_array_equal(matrix_of(column.slice(start, end - start), dtype, dim), matrix[start:end])


@settings(max_examples=100, deadline=None)
@given(DIMENSIONS, ROWS, st.sampled_from(["list", "large_list", "fixed"]), st.data())
def test_lists_of_floats_are_read_row_by_row(dim: int, rows: int, kind: str, data: st.DataObject) -> None:
    matrix = drawn(rows, dim)
    null = data.draw(st.sets(st.integers(0, max(rows - 1, 0)), max_size=3))
    types = {
        "list": pa.list_(pa.float32()),
        "large_list": pa.large_list(pa.float64()),
        "fixed": pa.list_(pa.float32(), dim),
    }
    values = [None if i in null else row.tolist() for i, row in enumerate(matrix)]
    for column in (pa.array(values, types[kind]), through_ipc(pa.array([None, *values], types[kind])).slice(1)):
        found, usable = as_matrix(column, dim)
        good = [i for i in range(rows) if i not in null]
        assert np.flatnonzero(usable).tolist() == good
        np.testing.assert_array_equal(found[good], matrix[good])


@settings(max_examples=25, deadline=None)
@given(DIMENSIONS, st.integers(1, 20))
def test_the_cache_gives_back_what_was_added(dim: int, rows: int) -> None:
    ids = unique(id_array(text_id("query", f"{dim} {i}") for i in range(rows)))
    matrix = drawn(rows, dim, np.float16)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Store(folder), "f", dim)
        cache.add(ids, matrix)
        found, there = cache.load(ids)
        assert there.all() and not cache.damaged
        np.testing.assert_array_equal(found, matrix)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-46, 3e38), st.integers(1, 64))
def test_a_vector_is_of_unit_length_or_not_usable_however_small_or_large(size: float, dim: int) -> None:
    direction = drawn(1, dim).astype(np.float64)
    with np.errstate(over="ignore"):
        row = (direction / np.linalg.norm(direction) * size).astype(np.float32)
    scale = unit_scale(row, np.ones(1, dtype=bool))
    unit = unit_rows(row, scale)
    usable = as_matrix(pa.array(row.tolist(), pa.list_(pa.float32())), dim)[1]
    assert usable.tolist() == (scale > 0).tolist()
    assert np.isfinite(unit).all()
    assert np.linalg.norm(unit.astype(np.float64)) == pytest.approx(float(scale[0] > 0), abs=1e-5)
    if 1e-37 < size < 1e37:
        assert usable.all()


@pytest.mark.parametrize("dim", [1, 3, 101])
def test_a_run_over_an_odd_dimension_equals_the_literal_score(tmp_path: Path, dim: int) -> None:
    lake = vector_lake(tmp_path / "lake", dim, 300, sources=2)
    result = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=8)
    assert result.totals["scored"] == 300
    rows = {row["source"]: row for row in result.ranking.to_pylist()}
    for source, expected in literal_rows(lake, literal.Parameters(folds=8)).items():
        assert rows[source]["eci"] == pytest.approx(expected.eci, rel=1e-5, abs=1e-9)
