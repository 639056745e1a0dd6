"""The embedding cache: a text is embedded once in its life per encoder.

Files OUT/cache/embeddings/<fingerprint>/bucket=NNN/<name>.parquet hold text_id and a float16 vector (fixed-size binary),
with page checksums and a hash of the rows. Files are only ever added, whole; two jobs may add at once. A file that is not
what its hash says is removed, counted, and its texts are embedded again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import pyarrow as pa

from jobs.ids import ID_TYPE, as_arrow, buckets_of, from_arrow, lookup, newly_met
from jobs.output import layout
from jobs.output.parquet import PARQUET_ROWS, SEAL, read_parquet, write_parquet
from jobs.output.store import Store
from jobs.vectors.columns import matrix_of

CACHE_BUCKETS = 256
UNREADABLE = (OSError, pa.ArrowException, KeyError, ValueError)
"""What reading a damaged file raises."""


@dataclass
class Cache:
    """The cached vectors of one encoder. `damaged` counts damaged files; they are dropped unless `read_only`."""

    store: Store
    fingerprint: str
    dim: int
    read_only: bool = False
    damaged: int = field(default=0)

    def folder(self, bucket: int) -> str:
        """Return a cache bucket's folder, relative to OUT."""
        return layout.cache_of(self.fingerprint, bucket)

    def load(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors float16 (n, d) of ascending distinct ids S16 (n,), and which of them were there, bool (n,)."""
        vectors = np.zeros((len(ids), self.dim), dtype=np.float16)
        present = np.zeros(len(ids), dtype=bool)
        for bucket in np.unique(buckets_of(ids, CACHE_BUCKETS)).tolist() if len(ids) else []:
            for found, values in self._read(bucket):
                at = lookup(ids, found)
                # The first file in name order wins, so that two copies of a vector do not matter.
                new = newly_met(at, present)
                vectors[at[new]] = values[new]
                present[at[new]] = True
        return vectors, present

    def _read(self, bucket: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for name in self.store.names(self.folder(bucket)):
            path = f"{self.folder(bucket)}/{name}"
            try:
                ids, values = read_cached(self.store, path, self.dim)
            except UNREADABLE:
                if not self.read_only:
                    self.store.remove(path)
                self.damaged += 1
                continue
            yield ids, values

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Add vectors float16 (n, d) of ascending ids S16 (n,): one new file for each cache bucket."""
        plain = pa.schema([("text_id", ID_TYPE), ("vector", pa.binary(self.dim * 2))])
        buckets = buckets_of(ids, CACHE_BUCKETS)
        for bucket in np.unique(buckets).tolist():
            start, end = np.searchsorted(buckets, [bucket, bucket + 1])
            rows = np.ascontiguousarray(vectors[start:end])
            data = pa.Array.from_buffers(plain.field("vector").type, end - start, [None, pa.py_buffer(rows.tobytes())])
            schema = plain.with_metadata({SEAL: _hash_of(ids[start:end], rows)})
            table = pa.table([as_arrow(ids[start:end]), data], schema=schema)
            with self.store.attempt(f"{self.folder(bucket)}/{uuid.uuid4().hex}.parquet") as path:
                write_parquet(path, [table], schema, PARQUET_ROWS)


def read_cached(store: Store, path: str, dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids S16 (n,) and the vectors float16 (n, d) of a cache file; one of an older version has no hash.

    Raises one of UNREADABLE where it is not what was written. `dim`: d, if it is known.
    """
    with store.open(path) as source:
        table = read_parquet(source)
    ids, column = from_arrow(table["text_id"]), table["vector"].combine_chunks()
    width = dim * 2 if dim is not None else getattr(column.type, "byte_width", 0)
    if column.type != pa.binary(width) or column.null_count or table["text_id"].null_count:
        raise pa.ArrowInvalid("not the expected vectors")
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    values = matrix_of(column, np.float16, width // 2)
    seal = (table.schema.metadata or {}).get(SEAL)
    if seal is not None and seal != _hash_of(ids, values):
        raise pa.ArrowInvalid("its rows are not what its own hash says")
    return ids, values


def _hash_of(ids: np.ndarray, vectors: np.ndarray) -> bytes:
    digest = sha256(np.ascontiguousarray(ids).tobytes())
    digest.update(np.ascontiguousarray(vectors).data)
    return digest.hexdigest().encode()
