"""Opening input files: fsspec URLs, compressed or not, lines of JSON that one bad line cannot stop.

Covers: reading bytes and lines, splitting big text files at line ends, the limit of a record. Does not cover: what a
record means.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import IO, Any, cast

import fsspec
import orjson
from fsspec.implementations.local import LocalFileSystem

from jobs.addresses import refuse_secret
from jobs.errors import InputError, reason_of
from jobs.formats.base import BadRecordError, Unit
from jobs.formats.compression import MAGIC_BYTES, READ_ERRORS, compression_in, decompressed, name_of
from jobs.formats.compression import compression_of as compression_of
from jobs.formats.stores import Answering
from jobs.lakes.naming import lies_at, table_of

SPLIT_BYTES = 256 << 20
BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 20
"""The limit of a record: a few kilobytes of a compressed file can unpack to gigabytes without a line end."""


_POINTER = b"version https://git-lfs.github.com/spec/"
POINTER_BYTES = 1024


def stem_of(path: str) -> str:
    """Return a file's name without its folder and without the endings that say format and compression."""
    name = name_of(path)
    if compression_of(name):
        name = name.rsplit(".", 1)[0]
    return name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name


def extension_of(path: str) -> str:
    """Return the ending that says the format, in lower case and without the dot ('' if there is none)."""
    name = name_of(path).lower()
    if compression_of(name):
        name = name.rsplit(".", 1)[0]
    return name.rsplit(".", 1)[-1] if "." in name else ""


def filesystem(path: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of a path or URL, and the path inside it; of a table of a lake, of where it lies.

    Raises:
        InputError: the address holds a secret, or nothing is installed for its kind.
    """
    # names of a table's files are made of its own values
    refuse_secret(table_of(path))
    try:
        fs, inner = fsspec.core.url_to_fs(lies_at(path))
    except (ValueError, ImportError) as error:
        raise InputError(f"{path}: no filesystem for this address: {error}") from error
    return (fs if isinstance(fs, LocalFileSystem) else Answering(fs, path)), inner


def open_input(path: str) -> IO[bytes]:
    """Open a file for reading bytes, decompressed by its ending, else by its first bytes.

    Raises:
        InputError: the file cannot be opened at all.
    """
    fs, inner = filesystem(path)
    kind = compression_of(path)
    try:
        raw = fs.open(inner, "rb")
        if kind is None:
            kind = compression_in(raw.read(MAGIC_BYTES))
            raw.seek(0)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {reason_of(error)}") from error
    return decompressed(raw, kind)


def is_there(pattern: str) -> bool:
    """Return whether a path, a folder or a glob names something."""
    fs, inner = filesystem(pattern)
    return bool(fs.exists(inner) or (any(c in inner for c in "*?[") and fs.glob(inner)))


def beginning(path: str, size: int = MAGIC_BYTES) -> bytes:
    """Return the first bytes of a file as they are stored.

    Raises:
        InputError: the file cannot be opened at all.
    """
    fs, inner = filesystem(path)
    try:
        with fs.open(inner, "rb") as file:
            return cast("bytes", file.read(size))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {reason_of(error)}") from error


def is_compressed(path: str) -> bool:
    """Whether a file is compressed, by its ending or its first bytes. Raises InputError where it cannot be opened."""
    return (compression_of(path) or compression_in(beginning(path))) is not None


def refuse_pointer(path: str, size: int | None = None) -> None:
    """Raise InputError when the file is a Git LFS pointer and not the data it stands for."""
    if (size_of(path) if size is None else size) > POINTER_BYTES:
        return
    fs, inner = filesystem(path)
    with fs.open(inner, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise InputError(
                f"{path}: a Git LFS pointer, not the data itself; fetch the data with `git lfs pull` in its repository"
            )


def head(path: str, size: int = 1 << 16) -> bytes:
    """Return the first bytes of a file, decompressed; fewer where it is damaged, and without a byte-order mark."""
    parts: list[bytes] = []
    # What is read together with the damage is lost, so that small pieces give more of a damaged file.
    piece = 1 << (12 if is_compressed(path) else 16)
    try:
        with open_input(path) as file:
            while size > 0 and (block := file.read(min(size, piece))):
                parts.append(block)
                size -= len(block)
    except READ_ERRORS:
        pass
    return b"".join(parts).removeprefix(b"\xef\xbb\xbf")


def damaged(path: str) -> bool:
    """Whether a compressed file cannot be read to its first byte."""
    try:
        with open_input(path) as file:
            file.read(1)
    except READ_ERRORS:
        return True
    return False


def size_of(path: str) -> int:
    """Return a file's size in bytes as stored."""
    fs, inner = filesystem(path)
    return int(fs.size(inner) or 0)


def line_units(path: str) -> list[Unit]:
    """Cut a file of lines into units of about SPLIT_BYTES that begin at line starts; a compressed one stays whole."""
    size = size_of(path)
    refuse_pointer(path, size)
    if size <= SPLIT_BYTES or is_compressed(path):
        return [Unit(path)]
    units, start, row, first_row = [], 0, 1, 1
    with open_input(path) as file:
        position = 0
        while block := file.read(BLOCK_BYTES):
            end = position + len(block)
            if end - start >= SPLIT_BYTES and (cut := block.rfind(b"\n")) >= 0:
                units.append(Unit(path, start, position + cut + 1, first_row))
                first_row = row + block.count(b"\n", 0, cut + 1)
                start = position + cut + 1
            row += block.count(b"\n")
            position = end
    if start < position:
        units.append(Unit(path, start, position, first_row))
    return units


def lines(unit: Unit) -> Iterator[tuple[int, bytes]]:
    """Yield (position, line without its line end) for every line of a unit that is not blank.

    Only \\n ends a line (and \\r\\n): U+0085 and U+2028 are ordinary characters. A byte-order mark is dropped.
    A line of MAX_LINE_BYTES or more comes cut to that length, which `decoded` and `parse_json` refuse, and the rest of it
    is passed over.
    Raises one of READ_ERRORS where a compressed file is damaged, after the lines before the damage.
    """
    with open_input(unit.path) as file:
        if unit.start:
            file.seek(unit.start)
        left = None if unit.stop is None else unit.stop - unit.start
        reader = file if isinstance(file, io.BufferedIOBase) else io.BufferedReader(cast("io.RawIOBase", file))
        row = unit.first_row
        while left is None or left > 0:
            line = part = reader.readline(MAX_LINE_BYTES)
            if not line:
                return
            length, most = len(line), MAX_LINE_BYTES
            while len(part) == most and not part.endswith(b"\n"):
                most = BLOCK_BYTES
                part = reader.readline(most)
                length += len(part)
            if left is not None:
                left -= length
            if row == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            # Tabs are not blank: three empty fields are a record too.
            if line.strip(b" \r"):
                yield row, line
            row += 1


def too_long() -> str:
    """Return what a record over the limit is called in a reject or an error."""
    return f"a record of more than {MAX_LINE_BYTES >> 20} MiB, which is the limit"


def decoded(line: bytes) -> str:
    """Return a line of `lines` as text.

    Raises:
        BadRecordError: reason `invalid_utf8`, or `bad_record` where it was cut.
    """
    if len(line) >= MAX_LINE_BYTES:
        raise BadRecordError("bad_record", too_long())
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecordError("invalid_utf8", f"not valid UTF-8: {error.reason}") from error


def parse_json(data: bytes) -> Any:
    """Parse one JSON value from UTF-8 bytes.

    Raises:
        BadRecordError: reason `invalid_utf8` or `bad_record`.
    """
    if len(data) >= MAX_LINE_BYTES:
        raise BadRecordError("bad_record", too_long())
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    # The standard parser takes what trainers write beside JSON (NaN, huge numbers), and says what is wrong.
    try:
        value = json.loads(data.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeError as error:
        raise BadRecordError("invalid_utf8", f"not valid UTF-8: {error.reason}") from error  # type: ignore[attr-defined]
    except (ValueError, RecursionError) as error:
        raise BadRecordError("bad_record", f"not valid JSON: {reason_of(error)}") from error
