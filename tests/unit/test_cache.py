"""The cache gives back what was put in, and trusts no file that is damaged."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.ids import id_array, text_id, unique
from jobs.output.store import Store
from jobs.vectors.cache import Cache
from tests.attack import ATTACK

DIM = 8
pytestmark = pytest.mark.attack("bits of a cache file")


def some(count: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ids of `count` texts, ascending, and a vector that follows from each id."""
    ids = unique(id_array(text_id("passage", f"text {i}") for i in range(start, start + count)))
    return ids, vectors_of(ids)


def vectors_of(ids: np.ndarray) -> np.ndarray:
    numbers = np.frombuffer(ids.tobytes(), np.uint8).reshape(len(ids), 16)[:, :DIM]
    return (numbers / 255).astype(np.float16)


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.parquet"))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(Store(str(tmp_path)), "encoder-0123", DIM)


def test_vectors_come_back_bit_for_bit(cache: Cache) -> None:
    ids, vectors = some(100)
    cache.add(ids, vectors)
    found, present = cache.load(ids)
    assert present.all()
    np.testing.assert_array_equal(found, vectors)


def test_what_is_not_there_is_said_to_be_missing(cache: Cache) -> None:
    ids, vectors = some(300)
    cache.add(ids[::2], vectors[::2])
    found, present = cache.load(ids)
    np.testing.assert_array_equal(present, np.arange(300) % 2 == 0)
    np.testing.assert_array_equal(found[::2], vectors[::2])
    assert cache.load(ids[:0])[0].shape == (0, DIM)


def test_encoders_do_not_share(cache: Cache) -> None:
    ids, vectors = some(20)
    cache.add(ids, vectors)
    assert not Cache(cache.store, "encoder-4567", DIM).load(ids)[1].any()


def test_row_groups_are_at_most_25_000_rows_and_vectors_are_fixed_size(cache: Cache, tmp_path: Path) -> None:
    cache.add(*some(100))
    for path in files(tmp_path):
        metadata = pq.ParquetFile(path).metadata
        assert all(metadata.row_group(i).num_rows <= 25_000 for i in range(metadata.num_row_groups))
        assert str(pq.read_schema(path).field("vector").type) == f"fixed_size_binary[{2 * DIM}]"


@pytest.mark.parametrize("where", [0.2, 0.4, 0.6, 0.8])
def test_a_flipped_byte_never_gives_a_wrong_vector(cache: Cache, tmp_path: Path, where: float) -> None:
    ids, vectors = some(300)
    cache.add(ids, vectors)
    path = max(files(tmp_path), key=lambda file: file.stat().st_size)
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0x10
    path.write_bytes(data)
    found, present = cache.load(ids)
    np.testing.assert_array_equal(found[present], vectors[present])


def test_every_flipped_bit_of_a_small_file_is_found_or_of_no_effect(
    cache: Cache, tmp_path: Path, counted: Callable[..., None]
) -> None:
    """Header, pages, statistics, footer: all of it; a bit of each byte here, all eight in `make attack`."""
    ids, vectors = some(2)
    cache.add(ids[:1], vectors[:1])
    (path,) = files(tmp_path)
    data, found = path.read_bytes(), 0
    flips = [(at, bit) for at in range(len(data)) for bit in (range(8) if ATTACK else [at % 8])]
    for at, bit in flips:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        values, present = cache.load(ids[:1])
        found += not present[0]
        assert present[0] == path.exists()
        if present[0]:
            np.testing.assert_array_equal(values, vectors[:1])
    assert cache.damaged == found > len(flips) // 2
    counted(tried=len(flips), found=found, harmless=len(flips) - found)


def test_a_file_whose_pages_are_whole_and_whose_rows_are_others_is_dropped(cache: Cache, tmp_path: Path) -> None:
    ids, vectors = some(1)
    cache.add(ids, vectors)
    (path,) = files(tmp_path)
    table = pq.read_table(path)
    other = table.set_column(1, table.field(1), [pa.array([bytes(2 * DIM)], table.field(1).type)])
    pq.write_table(other, path, write_page_checksum=True)
    assert not cache.load(ids)[1].any() and cache.damaged == 1
    # of an older version: no hash
    pq.write_table(table.replace_schema_metadata(None), path)
    np.testing.assert_array_equal(cache.load(ids)[0], vectors)


def test_a_file_with_a_damaged_page_is_dropped_counted_and_made_again(cache: Cache, tmp_path: Path) -> None:
    ids, vectors = some(200)
    cache.add(ids, vectors)
    path = max(files(tmp_path), key=lambda file: pq.ParquetFile(file).metadata.num_rows)
    rows = pq.ParquetFile(path).metadata.num_rows
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 3] ^= 0x01
    path.write_bytes(data)
    found, present = cache.load(ids)
    assert cache.damaged == 1
    assert not path.exists()
    assert int((~present).sum()) == rows
    np.testing.assert_array_equal(found[present], vectors[present])
    cache.add(ids[~present], vectors[~present])
    again, present = cache.load(ids)
    assert present.all()
    np.testing.assert_array_equal(again, vectors)


@pytest.mark.parametrize("damage", ["truncated", "empty", "other columns"])
def test_a_file_that_is_no_cache_file_is_dropped(cache: Cache, tmp_path: Path, damage: str) -> None:
    ids, vectors = some(50)
    cache.add(ids, vectors)
    path = files(tmp_path)[0]
    if damage == "other columns":
        pq.write_table(pq.read_table(path).rename_columns(["id", "v"]), path)
    else:
        path.write_bytes(path.read_bytes()[:40] if damage == "truncated" else b"")
    present = cache.load(ids)[1]
    assert cache.damaged == 1
    assert 0 < int((~present).sum()) < 50
    assert not path.exists()


def add_many(root: str, worker: int) -> None:
    cache = Cache(Store(root), "encoder-0123", DIM)
    for start in range(0, 120, 40):
        # Both write the texts in the middle.
        cache.add(*some(40, start + worker * 60))


def test_two_writers_at_once_lose_nothing(cache: Cache, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_many, args=(str(tmp_path), worker)) for worker in (0, 1)]
    for writer in writers:
        writer.start()
    ids, vectors = some(180)
    while any(writer.is_alive() for writer in writers):
        found, present = cache.load(ids)  # a reader between them never sees half a file
        np.testing.assert_array_equal(found[present], vectors[present])
    assert [writer.exitcode for writer in writers] == [0, 0]
    found, present = cache.load(ids)
    assert present.all()
    assert cache.damaged == 0
    np.testing.assert_array_equal(found, vectors)
    assert not list(tmp_path.rglob(".attempt-*"))
