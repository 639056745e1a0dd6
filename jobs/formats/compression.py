"""Compressed streams: .gz, .bz2, .xz, .zst, and .lz4 as ranx writes it; a truncated one raises and never passes for whole."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Any, cast

import pyarrow as pa

# What a truncated or damaged compressed file raises while it is read.
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)

_ENDINGS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst", ".zstd": "zst", ".lz4": "lz4"}
_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_BLOCK_BYTES = 1 << 16
_BEGINNINGS = {
    "gz": rb"\x1f\x8b\x08",
    "bz2": rb"BZh[1-9]1AY&SY",
    "xz": rb"\xfd7zXZ\0",
    "zst": rb"\x28\xb5\x2f\xfd",
    "lz4": rb"\x04\x22\x4d\x18",
}
MAGIC_BYTES = 16
"""As many first bytes of a file say how it is compressed."""


def name_of(path: str) -> str:
    """Return a file's name without its folder, and without a query behind it (`x.parquet?download=true`)."""
    address = path.split("?", 1)[0] if "://" in path else path
    return address.rsplit("/", 1)[-1].split("?", 1)[0]


def compression_of(path: str) -> str | None:
    """Return `gz`, `bz2`, `xz`, `zst`, `lz4` or None, by the ending of the name."""
    lower = name_of(path).lower()
    return next((kind for ending, kind in _ENDINGS.items() if lower.endswith(ending)), None)


def compression_in(first: bytes) -> str | None:
    """Return how a file is compressed, by its first MAGIC_BYTES."""
    return next((kind for kind, magic in _BEGINNINGS.items() if re.match(magic, first)), None)


def decompressed(raw: IO[bytes], kind: str | None) -> IO[bytes]:
    """Return a stream of what a stream holds, compressed as `kind` says; reading it raises one of READ_ERRORS.

    Whatever a small file unpacks to, a reader holds a bounded piece of it, and the time is linear in what is read.
    """
    return raw if kind is None else _STREAMS[kind](raw)


def _buffered(raw: IO[bytes], blocks: Iterator[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(_Blocks(raw, blocks), _BLOCK_BYTES))


class _Blocks(io.RawIOBase):
    """A stream over blocks of bytes as a generator yields them."""

    def __init__(self, raw: IO[bytes], blocks: Iterator[bytes]) -> None:
        self._raw, self._blocks, self._waiting = raw, blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._waiting = memoryview(block)
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def _unpacked(raw: Any, kind: str) -> Iterator[bytes]:
    """Yield what Arrow unpacks, frame after frame, in blocks; a stream that ends before its end mark raises OSError."""
    stream = pa.CompressedInputStream(raw, kind)
    while block := stream.read(_BLOCK_BYTES):
        yield block


def _lz4_blocks(raw: IO[bytes]) -> Iterator[bytes]:
    """Decompress an LZ4 frame, and the frame within it that ranx writes."""
    blocks = _unpacked(raw, "lz4")
    first = next(blocks, b"")
    if first.startswith(_LZ4_MAGIC):
        yield from _unpacked(_buffered(raw, chain([first], blocks)), "lz4")
    else:
        yield first
        yield from blocks


_STREAMS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    "gz": lambda raw: cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb")),
    "bz2": lambda raw: cast("IO[bytes]", bz2.BZ2File(raw)),  # noqa: SIM115
    "xz": lambda raw: cast("IO[bytes]", lzma.LZMAFile(raw)),  # noqa: SIM115
    "zst": lambda raw: _buffered(raw, _unpacked(raw, "zstd")),
    "lz4": lambda raw: _buffered(raw, _lz4_blocks(raw)),
}
"""How each compression is read: a stream that yields at most what is asked for, and raises where its end mark is missing."""
