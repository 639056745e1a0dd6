"""Parquet files whose bytes depend on their rows alone, hashed as they are written.

A table that no manifest names (ablations, a validation) is sealed: a hash of its rows stands in the file's own metadata.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.errors import DamagedError, reason_of
from jobs.output.tables import ID_COLUMNS

if TYPE_CHECKING:
    from jobs.output.store import Store

PARQUET_ROWS = 25_000


class Written(TypedDict):
    """A file's rows, size in bytes, and SHA-256 in hexadecimal."""

    rows: int
    bytes: int
    sha256: str


class Crc32:
    """CRC-32 with hashlib's methods: half the time of SHA-256, and enough for what is read by its own run alone."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self._value = 0

    def update(self, data: Any) -> None:
        """Add bytes."""
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        """Return 8 hexadecimal digits."""
        return f"{self._value:08x}"


class HashedFile(io.RawIOBase):
    """A local file, written from its beginning to its end, with the hash and the number of the bytes so far."""

    def __init__(self, path: str, digest: Any = None) -> None:
        """Open the file, emptied. `digest`: of the bytes (None: SHA-256)."""
        super().__init__()
        self._path = path
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115  (closed by `close`)
        self.digest, self.size = digest or hashlib.sha256(), 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write all of `data`; returns its size. Raises OSError with the file's name."""
        left = memoryview(data).cast("B")
        size = len(left)
        self.digest.update(left)
        try:
            while left:  # the system may take a part only
                left = left[self._file.write(left) :]
        except OSError as error:
            error.filename = self._path
            raise
        self.size += size
        return size

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self.size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def write_parquet(path: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS) -> Written:
    """Write tables as one Parquet file and return its rows, bytes and SHA-256.

    Row groups are cut at every `rows` rows whatever the tables' sizes, so that equal rows give equal bytes. Names and small
    numbers get a dictionary; for ids and scores, nearly all distinct, it would double the time and add to the size.
    Packed matrices are packed to the bits that they take, which is smaller than what zstd makes of them, and read in half
    the time.
    """
    total, pending = 0, schema.empty_table()
    repeated = [
        field.name for field in schema if field.type in (pa.string(), pa.int32()) and field.name not in ID_COLUMNS
    ]
    matrices = [f"{field.name}.list.element" for field in schema if field.type == pa.list_(pa.int64())]
    with (
        HashedFile(path) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=repeated,
            column_encoding=dict.fromkeys(matrices, "DELTA_BINARY_PACKED"),
            write_page_checksum=True,
        ) as writer,
    ):
        for table in tables:
            pending = pa.concat_tables([pending, table.cast(schema)])
            while len(pending) >= rows:
                writer.write_table(pending.slice(0, rows).combine_chunks(), row_group_size=rows)
                pending, total = pending.slice(rows), total + rows
        if len(pending) or not total:
            writer.write_table(pending.combine_chunks(), row_group_size=rows)
        writer.close()  # the footer, before the digest is taken
        return {"rows": total + len(pending), "bytes": file.size, "sha256": file.digest.hexdigest()}


def in_memory(data: bytes) -> pa.NativeFile:
    """Return a file over a copy of the bytes that Arrow owns.

    Threads of Arrow's may free the last of what they have read when the interpreter is gone already; Python's own bytes need
    it for that, and the process would be aborted at its exit.
    """
    copy = pa.BufferOutputStream()
    copy.write(data)
    return pa.BufferReader(copy.getvalue())


def read_parquet(source: Any, **options: Any) -> pa.Table:
    """Read a Parquet file whose pages are checked. `options`: those of pyarrow's `read_table`; but for `columns` they load its
    datasets, which takes longer than most files here do.

    Raises:
        OSError, pyarrow.ArrowException: it is damaged.
    """
    if options.keys() <= {"columns"}:
        return pq.ParquetFile(source, page_checksum_verification=True).read(**options)
    return pq.read_table(source, page_checksum_verification=True, **options)


SEAL = b"eci.rows.sha256"


def write_sealed(path: str, table: pa.Table) -> None:
    """Write a small table with a hash of its rows in its metadata."""
    table = table.combine_chunks()
    write_parquet(path, [table], table.schema.with_metadata({SEAL: _hash_of(table)}))


def read_sealed(store: Store, relative: str) -> pa.Table:
    """Read a table that `write_sealed` wrote, or one of an older version, which has no hash.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        source = in_memory(store.read_bytes(relative))
        table = read_parquet(source).combine_chunks()
        kept = dict(table.schema.metadata or {})
        right = kept == {} or kept == {SEAL: _hash_of(table)}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DamagedError(f"{store.path(relative)}: damaged: {reason_of(error)}; make it again") from error
    if not right:
        raise DamagedError(f"{store.path(relative)}: damaged: its rows are not what its own hash says; make it again")
    return table.replace_schema_metadata(None)


def _hash_of(table: pa.Table) -> bytes:
    return hashlib.sha256(repr((table.column_names, table.to_pylist())).encode()).hexdigest().encode()
