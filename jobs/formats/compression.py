"""Compressed streams: .gz, .bz2, .xz, .zst, and .lz4 as ranx writes it; a truncated one raises and never passes for whole."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import pyarrow as pa
import zstandard

# What a truncated or damaged compressed file raises while it is read.
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, pa.ArrowException)

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


def compression_of(path: str) -> str | None:
    """Return `gz`, `bz2`, `xz`, `zst`, `lz4` or None, by the ending of the name."""
    lower = path.lower()
    return next((kind for ending, kind in _ENDINGS.items() if lower.endswith(ending)), None)


def compression_in(first: bytes) -> str | None:
    """Return how a file is compressed, by its first MAGIC_BYTES."""
    return next((kind for kind, magic in _BEGINNINGS.items() if re.match(magic, first)), None)


def decompressed(raw: IO[bytes], kind: str | None) -> IO[bytes]:
    """Return a stream of what a stream holds, compressed as `kind` says; reading it raises one of READ_ERRORS."""
    if kind == "gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb"))
    if kind == "bz2":
        return cast("IO[bytes]", bz2.BZ2File(raw))
    if kind == "xz":
        return cast("IO[bytes]", lzma.LZMAFile(raw))
    if kind in ("zst", "lz4"):
        blocks = _zstd_blocks(raw) if kind == "zst" else _lz4_blocks(raw)
        return cast("IO[bytes]", io.BufferedReader(_Blocks(raw, blocks), _BLOCK_BYTES))
    return raw


class _Blocks(io.RawIOBase):
    """A stream over blocks of bytes as a generator yields them."""

    def __init__(self, raw: IO[bytes], blocks: Iterator[bytes]) -> None:
        self._raw, self._blocks, self._waiting = raw, blocks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._waiting = block
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def _zstd_blocks(raw: IO[bytes]) -> Iterator[bytes]:
    """Decompress Zstandard frames. The library's own reader takes a truncated file for a complete one."""
    frame: Any = None
    while block := raw.read(_BLOCK_BYTES):
        while block:
            if frame is None or frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(block)
            block = frame.unused_data if frame.eof else b""
    if frame is not None and not frame.eof:
        raise EOFError("the Zstandard stream ends before its end mark")


def _lz4_blocks(raw: IO[bytes]) -> Iterator[bytes]:
    """Decompress an LZ4 frame, and the frame within it that ranx writes."""
    stream = pa.CompressedInputStream(raw, "lz4")
    block = stream.read(_BLOCK_BYTES)
    if block.startswith(_LZ4_MAGIC):
        stream = pa.CompressedInputStream(pa.BufferReader(block + stream.read()), "lz4")
        block = stream.read(_BLOCK_BYTES)
    while block:
        yield block
        block = stream.read(_BLOCK_BYTES)
