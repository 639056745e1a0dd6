"""Precomputed vectors (--vectors) in place of an encoder: Parquet with text or id, side, and vector.

They are laid out by bucket like texts, stay float32, and are joined to the triples by the text's id. A text given
twice takes its first vector in the order of files and rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.errors import InputError, reason_of
from jobs.formats.base import Unit
from jobs.formats.bounded import in_bounds
from jobs.formats.columnar import ARROW_ERRORS
from jobs.formats.columns import string_column
from jobs.formats.records import parquet_file
from jobs.ids import ID_BYTES, Side, as_arrow, buckets_of, from_arrow, id_array, lookup, newly_met, order_of, text_id
from jobs.ingest.index import Index, open_index
from jobs.vectors.columns import as_binary, matrix_of, usable_norms
from jobs.work.files import reading, write_partitions, writing
from jobs.work.job import Job
from jobs.work.layout import VECTORS, Origin
from jobs.work.summaries import VectorsRead

ROWS = 8_000
FIRST_ROWS = 1_000
STRAY = 0.1
"""Rows of another length, or of no side, as a share of the first ones, that are rejected for themselves."""
SIDES: dict[str, Side] = {
    **dict.fromkeys(("query", "q", "queries"), "query"),
    **dict.fromkeys(("passage", "p", "passages", "document", "doc", "docs", "documents", "corpus"), "passage"),
}
"""What the column `side` may say, in any case."""


def check_vectors(path: str) -> int:
    """Check a vectors file's columns and its first rows, and return the dimension of most of them.

    Raises:
        InputError: a column is missing or of another type, no row holds a vector, or the first ones are of several
            lengths or of no side.
    """
    with parquet_file(path) as file:
        schema = file.schema_arrow
        if "text" not in schema.names and "id" not in schema.names:
            raise InputError(f"{path}: no column 'text' or 'id'; its columns are {', '.join(schema.names)}")
        for name in ("side", "vector"):
            if name not in schema.names:
                raise InputError(f"{path}: no column {name!r}; its columns are {', '.join(schema.names)}")
        kind = schema.field("vector").type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)) or not (
            pa.types.is_floating(kind.value_type)
        ):
            raise InputError(f"{path}: column 'vector' is of type {kind}; it is a list of floats")
        for batch in _batches(file, path, FIRST_ROWS, columns=["side", "vector"]):
            sizes = _sizes(batch["vector"])
            if (sizes > 0).any():
                _check_sides(batch["side"], path)
                return _dimension(sizes[sizes > 0], path)
    raise InputError(f"{path}: no row holds a vector")


def _batches(file: Any, path: str, rows: int, **options: Any) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file. Raises InputError for one that is damaged, or takes more memory than any vectors."""
    try:
        yield from in_bounds(file.iter_batches(rows, **options))
    except ARROW_ERRORS as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error


def _dimension(sizes: np.ndarray, path: str) -> int:
    """Return the commonest of the first vectors' lengths; raises InputError where there is more than a stray other one."""
    lengths, counts = np.unique(sizes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    if len(sizes) - counts[order[0]] > STRAY * len(sizes):
        told = ", ".join(f"{counts[i]:,} of {lengths[i]:,} numbers" for i in order[:3])
        raise InputError(f"{path}: vectors of different lengths ({told}); one run scores the vectors of one encoder")
    return int(lengths[order[0]])


def _check_sides(column: pa.Array, path: str) -> None:
    """Raise InputError where more than a stray one of the first rows' sides is no side."""
    sides = sides_of(column, path)
    unknown = np.flatnonzero(sides == "")
    if len(unknown) > STRAY * len(sides):
        row = int(unknown[0])
        raise InputError(
            f"{path} row {row}: column 'side' is {column[row].as_py()!r}; a query is one of {_words('query')}, a passage one of "
            f"{_words('passage')}"
        )


def _words(side: Side) -> str:
    return ", ".join(word for word, of in SIDES.items() if of == side)


def vectors_task(job: Job, name: str, unit: Unit, indexed: tuple[Side, ...]) -> VectorsRead:
    """Lay one unit's vectors out by bucket. Returns counts of rows, and a digest of the content."""
    rows, bad, sideless, chunks, digest = 0, 0, 0, 0, 0
    schema = VECTORS.schema_of(job)
    with (
        parquet_file(unit.path) as file,
        writing(job, VECTORS, name) as out,
        ExitStack() as stack,
    ):
        indexes: dict[Side, Index] = {side: stack.enter_context(open_index(job, side)) for side in indexed}
        columns = [c for c in ("text", "id", "side", "vector") if c in file.schema_arrow.names]
        groups = list(range(unit.start, file.num_row_groups if unit.stop is None else unit.stop))
        for batch in _batches(file, unit.path, ROWS, row_groups=groups, columns=columns):
            ids, known = ids_of(pa.table(batch), unit.path, indexes)
            vectors, usable = as_matrix(batch["vector"], job.dim)
            keep = known & usable
            table = pa.table([as_arrow(ids[keep]), as_binary(vectors[keep])], schema=schema)
            order = order_of(ids[keep])
            write_partitions(out, table.take(pa.array(order)), buckets_of(ids[keep][order], job.buckets), job.buckets)
            digest = (digest + content_digest(ids[keep], vectors[keep])) % (1 << 128)
            rows, bad, chunks = rows + len(ids), bad + int((~usable).sum()), chunks + 1
            sideless += int(np.count_nonzero(usable & (sides_of(batch["side"], unit.path) == "")))
    return {"rows": rows, "bad": bad, "sideless": sideless, "chunks": chunks, "digest": f"{digest:032x}"}


def as_matrix(column: pa.Array, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lists of floats as float32 (n, dim), and which rows are usable: of right and of usable length."""
    usable = _sizes(column) == dim
    flat = column.filter(pa.array(usable)).flatten().to_numpy(zero_copy_only=False)
    matrix = np.zeros((len(column), dim), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        matrix[usable] = flat.astype(np.float32).reshape(-1, dim)
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    usable &= usable_norms(norms)
    return matrix, usable


def _sizes(column: pa.Array) -> np.ndarray:
    """Return the lengths of lists, int64 (n,), 0 for a null."""
    if pa.types.is_fixed_size_list(column.type):
        return np.where(np.asarray(column.is_valid()), column.type.list_size, 0)
    sizes: np.ndarray = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return sizes


def content_digest(ids: np.ndarray, vectors: np.ndarray) -> int:
    """Return a sum of row digests: equal for equal content in any order, split over any files."""
    width = vectors.shape[1] * 4
    data, keys = np.ascontiguousarray(vectors).tobytes(), np.ascontiguousarray(ids).tobytes()
    return sum(
        int.from_bytes(
            hashlib.sha256(keys[i * ID_BYTES : (i + 1) * ID_BYTES] + data[i * width : (i + 1) * width]).digest()[:16]
        )
        for i in range(len(ids))
    )


def load_vectors(job: Job, bucket: int, ids: np.ndarray, units: list[Origin]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors float32 (n, d) of a bucket's ascending ids, and which of them were there."""
    vectors = np.zeros((len(ids), job.dim), dtype=np.float32)
    present = np.zeros(len(ids), dtype=bool)
    for unit in units:
        with reading(job, VECTORS, unit.task) as file:
            for chunk in range(unit.chunks):
                batch = file.get_batch(chunk * job.buckets + bucket)
                at = lookup(ids, from_arrow(batch["id"]))
                new = newly_met(at, present)
                rows = matrix_of(batch["vector"], np.float32, job.dim)
                vectors[at[new]] = rows[new]
                present[at[new]] = True
    return vectors, present


def ids_of(table: pa.Table, path: str, indexes: Mapping[Side, Index]) -> tuple[np.ndarray, np.ndarray]:
    """Return the text id of every row, S16 (n,), and whether it could be made.

    Where a side has an index, a user's id stands for the text that it names there; else it is the text id itself.
    """
    side = sides_of(table["side"], path).tolist()
    texts = (
        string_column(table["text"], path, "text")[0].to_list() if "text" in table.column_names else [None] * len(side)
    )
    users = string_column(table["id"], path, "id")[0].to_list() if "id" in table.column_names else [None] * len(side)
    known = np.array(
        [s != "" and (t is not None or u is not None) for s, t, u in zip(side, texts, users, strict=True)],
        dtype=bool,
    )
    ids = id_array(
        text_id(s, t if t is not None else u) if ok else bytes(ID_BYTES)
        for s, t, u, ok in zip(side, texts, users, known.tolist(), strict=True)
    ).copy()
    for one, index in indexes.items():
        at = [i for i, (s, t, u) in enumerate(zip(side, texts, users, strict=True)) if s == one and t is None and u]
        _resolve(index, at, [str(users[i]) for i in at], ids, known)
    return ids, known


def sides_of(column: Any, path: str) -> np.ndarray:
    """Return the side that each row's word means, strings (n,): query, passage, or nothing."""
    words = string_column(column, path, "side")[0].str.strip_chars().str.to_lowercase()
    return np.asarray(
        words.replace_strict(SIDES, default="", return_dtype=pl.String).fill_null("").to_list(), dtype=object
    )


def _resolve(index: Index, at: list[int], users: list[str], ids: np.ndarray, known: np.ndarray) -> None:
    found, state = index.find(users, 1, 2)
    ids[at] = found
    known[at] = state == 0
