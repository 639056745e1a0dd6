"""Shards of training files, written as records come: one set of shards for each kind of record.

Covers: JSON lines and Parquet, sizes and checksums. A shard is at its place when it is whole. Memory follows the
records that one row group holds and the number of kinds, not the number of records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.output.store import Store

GROUP_TRIPLES = 5_000
"""Triples of a Parquet row group."""


class Shards:
    """The shards of one kind of record, below one folder; `files` lists those that are done.

    Args:
        folder: relative to the store.  schema: of Parquet files, None for JSON lines.
        most: triples after which a shard ends; a record, and records that are added together, stay in one shard.
    """

    def __init__(self, store: Store, folder: str, schema: pa.Schema | None, most: int) -> None:
        self._store, self._folder, self._schema, self._most = store, folder, schema, most
        self.files: list[dict[str, Any]] = []
        self._attempt, self._opened = ExitStack(), ExitStack()
        self._path = ""
        self._reset()

    def _reset(self) -> None:
        self._counts = {"triples": 0, "records": 0}
        self._waiting: list[dict[str, Any]] = []
        self._waiting_triples = 0

    def add(self, records: Sequence[dict[str, Any]], triples: int) -> None:
        """Write records that hold so many triples together."""
        if not self._counts["records"]:
            self._open()
        self._counts["triples"] += triples
        self._counts["records"] += len(records)
        self._waiting += records
        self._waiting_triples += triples
        if self._waiting_triples >= GROUP_TRIPLES:
            self._flush()
        if self._counts["triples"] >= self._most:
            self.close()

    def close(self) -> None:
        """End the shard that is being written, if there is one."""
        if not self._counts["records"]:
            return
        self._flush()
        self._opened.close()
        size, digest = 0, hashlib.sha256()
        with open(self._path, "rb") as written:
            while block := written.read(1 << 20):
                digest.update(block)
                size += len(block)
        self._attempt.close()
        self.files.append({"path": self._relative, **self._counts, "bytes": size, "sha256": digest.hexdigest()})
        self._reset()

    def abandon(self, error: BaseException) -> None:
        """Leave the shard that is being written: it does not appear."""
        self._opened.close()
        self._attempt.__exit__(type(error), error, error.__traceback__)

    def _open(self) -> None:
        ending = "jsonl" if self._schema is None else "parquet"
        self._relative = f"{self._folder}/part-{len(self.files):05d}.{ending}"
        self._path = self._attempt.enter_context(self._store.attempt(self._relative))
        if self._schema is None:
            self._file: Any = self._opened.enter_context(pa.OSFile(self._path, "wb"))
        else:
            writer = pq.ParquetWriter(self._path, self._schema, compression="zstd", write_page_checksum=True)
            self._file = self._opened.enter_context(writer)

    def _flush(self) -> None:
        if self._schema is None:
            self._file.write(b"".join(orjson.dumps(record) + b"\n" for record in self._waiting))
        elif self._waiting:
            self._file.write_table(pa.Table.from_pylist(self._waiting, self._schema))
        self._waiting, self._waiting_triples = [], 0
