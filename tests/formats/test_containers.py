"""The same triples in every container: columns of Parquet and Arrow, compressed or not, named well or not."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard

from jobs.errors import InputError
from jobs.formats import Options
from jobs.formats.columnar import container_of
from jobs.formats.qrels import read_qrels
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import read_texts, text_units
from tests.formats.reading import read

ROWS = [
    {"query": f"query {i}", "positive": f"a positive, {i}", "negative": f"Ünïcode {i}", "source": "ab"[i % 2]}
    for i in range(50)
]
EXPECTED = [(r["query"], r["positive"], r["negative"], None, None, None, r["source"]) for r in ROWS]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def stream(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def ipc(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


COLUMNS: dict[str, Callable[[Path, pa.Table], None]] = {
    "parquet": lambda path, table: pq.write_table(table, path, row_group_size=20),
    "stream": stream,
    "ipc": ipc,
    "feather": lambda path, table: pyarrow.feather.write_feather(table, str(path), compression="zstd"),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("name", ["data.parquet", "data.arrow", "data.feather", "data", "data.bin", "data.jsonl"])
def test_columns_are_known_by_their_first_bytes(tmp_path: Path, kind: str, name: str) -> None:
    if (name == "data.parquet") != (kind == "parquet") and name in ("data.parquet", "data.arrow", "data.feather"):
        pytest.skip("another format's ending")
    COLUMNS[kind](tmp_path / name, pa.Table.from_pylist(ROWS))
    assert recognise(str(tmp_path / name)) == "triples"
    found = read("triples", tmp_path / name)
    assert [row[1:] for row in found.rows.rows()] == EXPECTED
    assert found.rows["row"].to_list() == list(range(50))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress,
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("ending", [True, False])
def test_compressed_lines(tmp_path: Path, kind: str, ending: bool) -> None:
    path = tmp_path / ("data.jsonl" + (f".{kind}" if ending else ""))
    path.write_bytes(PACKERS[kind](LINES))
    assert recognise(str(path)) == "triples"
    found = read("triples", path)
    assert [row[1:] for row in found.rows.rows()] == EXPECTED


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("ending", [True, False])
def test_a_cut_stream_is_no_whole_file(tmp_path: Path, kind: str, ending: bool) -> None:
    path = tmp_path / ("data.jsonl" + (f".{kind}" if ending else ""))
    whole = PACKERS[kind](LINES)
    path.write_bytes(whole[: len(whole) - 9])
    assert read("triples", path).reasons == {"bad_record": 1}


@pytest.mark.parametrize("kind", ["stream", "ipc"])
def test_damaged_arrow_is_refused_or_rejected(tmp_path: Path, kind: str) -> None:
    """Offsets that lead out of a buffer are found before anything is read through them."""
    path = tmp_path / "data.arrow"
    table = pa.Table.from_pylist(ROWS)
    COLUMNS[kind](path, table)
    offsets = memoryview(table["negative"].chunk(0).buffers()[1])[:16].tobytes()
    data = path.read_bytes()
    assert data.count(offsets) >= 1
    path.write_bytes(data.replace(offsets, offsets[:4] + b"\x00\x00\x00\x7f" + offsets[8:]))
    found = read("triples", path)
    assert found.reasons == {"bad_record": 1} and not len(found.rows)
    path.write_bytes(data[: len(data) // 2])
    try:
        assert read("triples", path).reasons == {"bad_record": 1}
    except InputError as error:
        assert "cannot be opened as Arrow" in str(error)


def test_texts_and_judgements_in_columns(tmp_path: Path) -> None:
    texts = pa.table({"docid": ["1", "2"], "text": ["one", "two"]})
    judged = pa.table({"query-id": ["q"], "corpus-id": ["1"], "score": [1]})
    for kind, write in COLUMNS.items():
        write(tmp_path / kind, texts)
        units = text_units(str(tmp_path / kind))
        found = [
            row for unit in units for batch in read_texts(unit, Options(), "passage") for row in batch.texts.rows()
        ]
        assert [row[1:] for row in found] == [("1", "one"), ("2", "two")], kind
        write(tmp_path / f"{kind}-qrels", judged)
        assert read_qrels((str(tmp_path / f"{kind}-qrels"),)) == {"q": {"1": 1.0}}, kind


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: cannot be opened: No such file"):
        container_of(str(tmp_path / "absent"))


def test_the_handed_cases(cases: Path) -> None:
    for name in ("plain.feather", "hf_saved/data-00000-of-00001.arrow"):
        assert recognise(str(cases / name)) == "triples"
        found = read("triples", cases / name)
        assert (len(found.rows), len(found.rejects), found.rows["query"].n_unique()) == (120, 0, 40)
        assert found.sources == {"bm25": 40, "dense": 40, "random": 40}
