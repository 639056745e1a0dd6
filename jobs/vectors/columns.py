"""Unit vectors from rows as a cache or a user's file has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

_CACHE_ROWS = 256
_SHORTEST = float(np.finfo(np.float32).tiny)


def unit_scale(rows: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return 1 / the rows' lengths, float64 (n,), and 0 for rows that are not `valid` or of no usable length.

    Vectors that a float16 cache has rounded are off unit length by some 1e-4; the formula wants unit vectors.
    """
    norms = np.empty(len(rows))
    for start in range(0, len(rows), _CACHE_ROWS):
        part = slice(start, start + _CACHE_ROWS)
        block = rows[part].astype(np.float64)
        norms[part] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return np.divide(1, norms, out=np.zeros_like(norms), where=valid & usable_norms(norms))


def usable_norms(norms: np.ndarray) -> np.ndarray:
    """Return which lengths, float64 (n,), a vector can be divided by in single precision, bool (n,).

    Not 0, not finite ones, and none whose inverse is infinite or denormal there: a vector of denormals has no direction
    that it would keep.
    """
    usable: np.ndarray = (norms >= _SHORTEST) & (norms <= 1 / _SHORTEST)
    return usable


def unit_rows(rows: np.ndarray, scale: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return rows (n, d) times `scale` (n,) as float32 (n, d): unit vectors, and zeros where `scale` is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        unit: np.ndarray = np.multiply(
            rows, scale.astype(np.float32)[:, None], out=np.empty(rows.shape, np.float32) if out is None else out
        )
    unit[scale == 0] = 0
    return unit


def matrix_of(column: pa.Array, dtype: np.dtype[Any] | type, dim: int) -> np.ndarray:
    """Return a column of fixed-size binaries as a matrix (n, dim) without copying."""
    kind = np.dtype(dtype)
    if not len(column):
        return np.empty((0, dim), dtype=kind)
    # a buffer is longer than its values: Arrow fills it up to whole words, and a slice shares that of its column
    start = column.offset * dim * kind.itemsize
    data: np.ndarray = np.frombuffer(column.buffers()[1], dtype=kind, count=len(column) * dim, offset=start)
    return data.reshape(-1, dim)


def as_binary(matrix: np.ndarray) -> pa.Array:
    """Return the rows of a matrix (n, d) as binary values, each the row's bytes as they lie in memory."""
    rows = np.ascontiguousarray(matrix)
    width = matrix.shape[1] * matrix.dtype.itemsize
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, pa.py_buffer(rows.tobytes())])
