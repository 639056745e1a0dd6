"""A small compressed file that unpacks to much: read in bounded pieces, in linear time; a record has a limit, which is named."""

from __future__ import annotations

import gzip
import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from jobs.formats import Options
from jobs.formats.compression import decompressed
from jobs.formats.opening import MAX_LINE_BYTES
from tests.formats.reading import read

pytestmark = pytest.mark.attack("archives")

TRIPLE = b'{"query": "q", "pos": ["p"], "neg": ["n"]}\n'
LIMIT = "a record of more than 64 MiB, which is the limit"


def lz4(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as out:
        out.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 6),
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "lz4": lz4,
}


@pytest.mark.parametrize("kind", PACK)
def test_a_stream_gives_what_is_asked_for_and_holds_no_more(kind: str) -> None:
    packed = PACK[kind](bytes(256 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, length = time.monotonic(), 0
    stream = decompressed(io.BytesIO(packed), kind)
    while block := stream.read(1 << 20):
        assert len(block) <= 1 << 20
        length += len(block)
    assert length == 256 << 20
    assert time.monotonic() - started < 20  # 0.3 s alone
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize(
    ("name", "ending", "good"),
    [("bge", "jsonl", TRIPLE), ("msmarco-tsv", "tsv", b"q\tp\tn\n"), ("triples", "csv", b'q,p,"n"\n')],
)
def test_a_line_over_the_limit_is_a_reject_that_names_the_limit(
    tmp_path: Path, kind: str, name: str, ending: str, good: bytes
) -> None:
    header = b'query,positive,"negative"\n' if ending == "csv" else b""
    path = tmp_path / f"x.{ending}.{kind}"
    path.write_bytes(PACK[kind](header + good + bytes(MAX_LINE_BYTES + (8 << 20)) + b"\n" + good))
    assert path.stat().st_size < 1 << 20
    started = time.monotonic()
    found = read(name, path, Options(source="s"))
    assert time.monotonic() - started < 30  # a second alone
    assert found.reasons == {"bad_record": 1}
    assert LIMIT in found.rejects["detail"][0]
    # beyond a record that quotes may hold open, nothing is known
    assert len(found.rows) == (1 if ending == "csv" else 2)


def test_a_quoted_field_over_the_limit_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(
        b'query,positive,negative\nq,p,n\nq,p,"' + b"x y z, and so on\n" * (MAX_LINE_BYTES // 16) + b'"\nq,p,n\n'
    )
    found = read("triples", path, Options(source="s"))
    assert (len(found.rows), found.reasons) == (1, {"bad_record": 1})
    assert LIMIT in found.rejects["detail"][0]


def test_an_element_of_an_array_over_the_limit_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.json.zst"
    body = b"[" + TRIPLE + b', {"query": "' + b"x" * MAX_LINE_BYTES + b'"}, ' + TRIPLE + b"]"
    path.write_bytes(PACK["zst"](body))
    found = read("bge", path)
    assert (len(found.rows), found.reasons) == (1, {"bad_record": 1})
    assert LIMIT in found.rejects["detail"][0]


def test_96_kilobytes_that_unpack_to_3_gigabytes_end_the_command_in_seconds_and_within_its_memory(
    tmp_path: Path,
) -> None:
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    piece = bytes(1 << 20)
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(b"".join(packer.compress(piece) for _ in range(3 << 10)) + packer.flush())
    assert path.stat().st_size < 1 << 20
    program = (
        "import re, sys; sys.argv[0] = 'eci'; from jobs.cli import app\n"
        "try: app()\n"
        "except Exception as error: print(error)\n"
        "finally: print(re.search('VmHWM:(.*)kB', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", "--triples", str(path), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "fits no known format" in done.stdout, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[-1]) < 500 << 10  # KiB
