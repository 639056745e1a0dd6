"""The part of CBOR (RFC 8949) that ranx writes its runs in: maps, texts, numbers, true, false and null."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Any

from jobs.formats.base import BadRecordError

MAX_DEPTH = 4
MAX_TEXT_BYTES = 1 << 20
MAX_ITEMS = 1 << 20
_FLOATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
_SIMPLE = {20: False, 21: True, 22: None}


def is_map(first: bytes) -> bool:
    """Whether bytes begin a CBOR map whose first key is a text. No UTF-8 text begins so."""
    size = {0xB8: 2, 0xB9: 3, 0xBA: 5, 0xBB: 9}.get(first[0], 1) if first else 0
    return len(first) > size and first[0] >> 5 == 5 and first[size] >> 5 == 3


def map_items(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of the map that a stream holds, one by one.

    Raises:
        BadRecordError: the bytes are no such map, or it ends too early.
    """
    kind, size = _start(file)
    if kind != 5:
        raise BadRecordError("bad_record", "not a CBOR map")
    for _ in range(size):
        key, value = _value(file, 1), _value(file, 1)
        yield _key(key), value
    if file.read(1):
        raise BadRecordError("bad_record", "the file goes on after its end")


def _start(file: IO[bytes]) -> tuple[int, int]:
    """Read a value's major type and its number or length."""
    byte = _read(file, 1)[0]
    kind, low = byte >> 5, byte & 31
    if kind == 7 or low < 24:
        return kind, low
    if low > 27:
        raise BadRecordError("bad_record", f"CBOR of unknown length (byte {byte:#x})")
    return kind, int.from_bytes(_read(file, 1 << (low - 24)), "big")


def _value(file: IO[bytes], depth: int) -> Any:
    kind, size = _start(file)
    if kind in (0, 1):
        return size if kind == 0 else -1 - size
    if kind == 3 and size <= MAX_TEXT_BYTES:
        try:
            return _read(file, size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRecordError("invalid_utf8", f"not valid UTF-8: {error.reason}") from error
    if kind == 5 and depth < MAX_DEPTH and size <= MAX_ITEMS:
        return {_key(_value(file, depth + 1)): _value(file, depth + 1) for _ in range(size)}
    if kind == 7 and size in _FLOATS:
        code, length = _FLOATS[size]
        return struct.unpack(code, _read(file, length))[0]
    if kind == 7 and size in _SIMPLE:
        return _SIMPLE[size]
    raise BadRecordError("bad_record", f"CBOR of a kind that no run holds (major type {kind}, {size})")


def _key(value: Any) -> str:
    if not isinstance(value, str | int):
        raise BadRecordError("bad_record", f"a key is a {type(value).__name__}, not a string")
    return str(value)


def _read(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise BadRecordError("bad_record", "the file ends too early")
    return data
