"""Exact sums of weighted residuals: fixed point rows in, int64 matrices out.

Covers: residual rows, their outer-product sums, packing for the `moments` table.
Does not cover: similarities and weights (SQL and udfs.py), scores of the sums (information.py).

Every addition is exact, so a sum is the same bits for any order, block size, thread count and BLAS
kernel. A row is rounded to units of 2^-ROW_BITS, so a running sum is in units of 2^-SUM_BITS; what is packed and
published is rounded once more, to units of 2^-UNIT_BITS, when the sum of a fold is complete.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from eci_sql.errors import MetricError

ROW_BITS = 22
SUM_BITS = 2 * ROW_BITS
UNIT_BITS = 40
BLOCK_ROWS = 2048

_CACHE_LINES = 16  # of a matrix, at a dimension of 4,096
_CACHE_ROWS = 128  # rows whose scratch stays in the second-level cache at a dimension of 1,024
_EXACT_FLOAT = 2.0**53
_LARGEST_SUM = 2**62

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
VectorArray = NDArray[np.float32]
RefArray = NDArray[np.integer]
RowArray = NDArray[np.int32]


def residual_rows(
    zq: VectorArray,
    zp: VectorArray,
    zn: VectorArray,
    s_pos: FloatArray,
    s_neg: FloatArray,
    weight: FloatArray,
) -> FloatArray:
    """Weighted residuals as whole numbers: rint(r * sqrt|w| * 2^ROW_BITS).

    r = (I - zq zq^T)(zn - zp) = (zn - zp) - zq * (s_neg - s_pos), the direction of the loss
    gradient in the tangent space of the query (eci_sql/README.md). The arithmetic is float32 and
    elementwise: a row does not depend on its neighbours, and its rounding (1e-7 of a value) is
    below that of the fixed point (1e-5).

    Args:
        zq, zp, zn: (n, d) float32 unit vectors of query, positive and negative.
        s_pos, s_neg: (n,) float64 dot products of zq with zp and with zn.
        weight: (n,) float64 signed weights; only their size counts here.

    Returns:
        (n, d) float64 holding integers, in units of 2^-ROW_BITS.
    """
    slope, scale = _factors(s_pos, s_neg, weight)
    rows = np.empty(zq.shape, dtype=np.float64)
    scratch = np.empty((2, min(len(rows), _CACHE_ROWS), zq.shape[1]), dtype=np.float32)
    for part in _slices(len(rows), _CACHE_ROWS):
        residual, along = scratch[:, : part.stop - part.start]
        np.subtract(zn[part], zp[part], out=residual)
        np.multiply(zq[part], slope[part], out=along)
        _finish(residual, along, scale[part], rows[part])
    return rows


def add_residuals(
    total: IntArray,
    vectors: VectorArray,
    refs: tuple[RefArray, RefArray, RefArray],
    s_pos: FloatArray,
    s_neg: FloatArray,
    weight: FloatArray,
) -> None:
    """`add_outer` of `residual_rows`, with the vectors looked up here, part by part.

    The same bits as gathering first, in about 60 % of the time: the parts stay in the cache.

    Args:
        total: (d, d) int64, in units of 2^-SUM_BITS.
        vectors: (m, d) float32 unit vectors.
        refs: rows of `vectors` of queries, positives and negatives, (n,) integers each.
        s_pos, s_neg, weight: (n,) float64 as for `residual_rows`.

    Raises:
        MetricError: as `add_outer`, or a ref outside `vectors`.
    """
    _require_inside(vectors, refs)
    slope, scale = _factors(s_pos, s_neg, weight)
    rows = np.empty((min(len(weight), BLOCK_ROWS), vectors.shape[1]), dtype=np.float64)
    scratch = np.empty((3, min(len(weight), _CACHE_ROWS), vectors.shape[1]), dtype=np.float32)
    for block in _slices(len(weight), BLOCK_ROWS):
        for within in _slices(block.stop - block.start, _CACHE_ROWS):
            part = slice(block.start + within.start, block.start + within.stop)
            along, positive, residual = scratch[:, : part.stop - part.start]
            for ref, target in zip(refs, (along, positive, residual), strict=True):
                vectors.take(ref[part], axis=0, out=target, mode="clip")  # "raise" would copy
            residual -= positive
            along *= slope[part]
            _finish(residual, along, scale[part], rows[within])
        add_outer(total, rows[: block.stop - block.start])


def _factors(s_pos: FloatArray, s_neg: FloatArray, weight: FloatArray) -> tuple[VectorArray, VectorArray]:
    slope = (s_neg - s_pos).astype(np.float32)[:, None]
    scale = (np.sqrt(np.abs(weight)) * 2.0**ROW_BITS).astype(np.float32)[:, None]
    return slope, scale


def _finish(residual: VectorArray, along: VectorArray, scale: VectorArray, out: FloatArray) -> None:
    residual -= along
    residual *= scale
    np.rint(residual, out=out)


def _slices(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def add_outer(total: IntArray, rows: FloatArray) -> None:
    """Add rows^T rows to `total`, exactly and in place.

    Args:
        total: (d, d) int64, in units of 2^-SUM_BITS.
        rows: (n, d) float64 holding integers, from `residual_rows`.

    Raises:
        MetricError: a row is not finite or too long to be squared exactly, or a diagonal sum would
            exceed 2^62. `total` then holds the blocks before the offending one.
    """
    for part in _slices(len(rows), BLOCK_ROWS):
        _add_block(total, rows[part])


def _add_block(total: IntArray, block: FloatArray) -> None:
    product = block.T @ block  # the same array on both sides: numpy calls syrk, half of the work
    # By Cauchy-Schwarz no partial sum anywhere exceeds the trace, and rounding is monotone: a trace
    # that comes out below 2^53 proves that every sum was exact, its own included.
    trace = float(np.trace(product))
    if not np.isfinite(trace):
        raise MetricError(_NOT_FINITE)
    if trace < _EXACT_FLOAT:
        _add_exact(total, product)
    elif len(block) == 1:
        raise MetricError(_too_long(trace))
    else:
        half = len(block) // 2
        _add_block(total, block[:half])
        _add_block(total, block[half:])


_NOT_FINITE = "a weighted residual is not finite: check vectors and weights"


def _too_long(trace: float) -> str:
    return f"a weighted residual has squared length {trace * 2.0**-SUM_BITS:.3g}: the vectors are not of unit length"


def _add_exact(total: IntArray, product: FloatArray) -> None:
    diagonal = np.diagonal(product).astype(np.int64)
    if np.any(np.diagonal(total) > _LARGEST_SUM - diagonal):
        raise MetricError("a sum of squared residuals exceeds 2^62 units of 2^-44: use more folds")
    total += product.astype(np.int64)


def is_few(rows: int, dim: int) -> bool:
    """Return whether so many rows are kept as they are: they take less room than their sum, and less time to score."""
    return rows <= dim // 2


class Gathered:
    """The sum of the outer products of rows that come part by part: the rows themselves while they are few, else the matrix."""

    def __init__(self, dim: int) -> None:
        """Start with no rows of d values."""
        self._dim, self._count = dim, 0
        self._kept: list[RowArray] = []
        self._total: IntArray | None = None

    def add(
        self,
        vectors: VectorArray,
        refs: tuple[RefArray, RefArray, RefArray],
        s_pos: FloatArray,
        s_neg: FloatArray,
        weight: FloatArray,
    ) -> None:
        """Add residuals; arguments and errors are those of `add_residuals`."""
        self._count += len(weight)
        if self._total is None and is_few(self._count, self._dim):
            _require_inside(vectors, refs)
            queries, positives, negatives = (vectors[ref] for ref in refs)
            rows = residual_rows(queries, positives, negatives, s_pos, s_neg, weight)
            _require_exact(rows)
            self._kept.append(rows.astype(np.int32))
        else:
            add_residuals(self._matrix(), vectors, refs, s_pos, s_neg, weight)

    def _matrix(self) -> IntArray:
        if self._total is None:
            self._total = np.zeros((self._dim, self._dim), dtype=np.int64)
            for rows in self._kept:
                add_outer(self._total, rows.astype(np.float64))
            self._kept = []
        return self._total

    @property
    def rows(self) -> RowArray | None:
        """The rows, (n, d) int32 in units of 2^-ROW_BITS; None where they are too many."""
        return np.concatenate([np.zeros((0, self._dim), np.int32), *self._kept]) if self._total is None else None

    def upper(self) -> IntArray:
        """Return the sum's upper triangle, as `upper_of`."""
        return upper_of(self._matrix())

    def packed(self) -> IntArray:
        """Return the sum as `pack_upper`."""
        return rounded(self.upper())


def _require_inside(vectors: VectorArray, refs: tuple[RefArray, RefArray, RefArray]) -> None:
    if any(len(ref) and not 0 <= ref.min() <= ref.max() < len(vectors) for ref in refs):
        raise MetricError(f"a triple refers to a vector outside the {len(vectors)} given")


def _require_exact(rows: FloatArray) -> None:
    """Raise MetricError as `add_outer` would of a row."""
    longest = float(np.einsum("ij,ij->i", rows, rows).max(initial=0.0))
    if not np.isfinite(longest):
        raise MetricError(_NOT_FINITE)
    if longest >= _EXACT_FLOAT:
        raise MetricError(_too_long(longest))


def packed_of_rows(folds: Sequence[FloatArray], dim: int) -> IntArray:
    """Sum of `pack_upper` of the `add_outer` of each fold's few rows, (n, d) float64 holding integers: the same bits.

    A few lines of the matrix at a time, which stay in the cache: a fold has next to nothing to add to each entry.
    """
    if sum(float(np.einsum("ij,ij->", rows, rows)) for rows in folds) >= _EXACT_FLOAT / 4:
        return _packed_by_matrix(folds, dim)
    packed = np.empty(dim * (dim + 1) // 2, dtype=np.int64)
    at = 0
    for lines in _slices(dim, _CACHE_LINES):
        total = np.zeros((lines.stop - lines.start, dim - lines.start))
        for rows in folds:
            product = rows[:, lines].T @ rows[:, lines.start :]
            product += 2.0 ** (SUM_BITS - UNIT_BITS - 1)  # as `rounded` does it: exact, as all of it is below 2^53
            product *= 2.0 ** (UNIT_BITS - SUM_BITS)
            total += np.floor(product, out=product)
        for line, values in enumerate(total):
            packed[at : at + len(values) - line] = values[line:]
            at += len(values) - line
    return packed


def _packed_by_matrix(folds: Sequence[FloatArray], dim: int) -> IntArray:
    packed = np.zeros(dim * (dim + 1) // 2, dtype=np.int64)
    for rows in folds:
        total = np.zeros((dim, dim), dtype=np.int64)
        add_outer(total, rows)
        add_packed(packed, pack_upper(total))
    return packed


def pack_upper(matrix: IntArray) -> IntArray:
    """Upper triangle by rows, as stored in `moments`: (d, d) int64 sums to (d (d + 1) / 2,) in units of 2^-UNIT_BITS."""
    return rounded(upper_of(matrix))


def upper_of(matrix: IntArray) -> IntArray:
    """Upper triangle by rows of (d, d) int64 sums, in their own units of 2^-SUM_BITS."""
    packed: IntArray = np.ascontiguousarray(matrix).reshape(-1).take(_upper(matrix.shape[0]), mode="clip")
    return packed


def rounded(packed: IntArray) -> IntArray:
    """Sums in units of 2^-SUM_BITS to units of 2^-UNIT_BITS, each to the nearest."""
    shift = SUM_BITS - UNIT_BITS
    found = packed + (1 << (shift - 1))
    found >>= shift
    return found


def unpack_upper(packed: IntArray | FloatArray, dim: int) -> FloatArray:
    """Symmetric float64 matrix of a packed sum, scaled from units of 2^-UNIT_BITS to 1.

    Args:
        packed: (dim (dim + 1) / 2,) int64, or float64 where packed sums were averaged or mixed.
        dim: the number of dimensions d.

    Raises:
        MetricError: the length does not fit `dim`.
    """
    if dim_of(len(packed)) != dim:
        raise MetricError(f"{len(packed)} packed values do not fit dimension {dim}")
    values = packed.take(_places(dim), mode="clip")
    return np.multiply(values, 2.0**-UNIT_BITS, dtype=np.float64)


def dim_of(packed_len: int) -> int:
    """Dimension d of a packed upper triangle with d (d + 1) / 2 values.

    Raises:
        MetricError: no dimension has that many.
    """
    dim = (isqrt(8 * packed_len + 1) - 1) // 2
    if dim * (dim + 1) // 2 != packed_len:
        raise MetricError(f"{packed_len} is not the length of a packed upper triangle")
    return dim


def add_packed(total: IntArray, packed: IntArray) -> None:
    """Add a packed sum to another, (P,) int64 each, exactly and in place.

    Raises:
        MetricError: a diagonal sum would exceed 2^62, which bounds every other entry too.
    """
    diagonal = _diagonal(dim_of(len(total)))
    if np.any(total[diagonal] > _LARGEST_SUM - packed[diagonal]):
        raise MetricError("a sum of packed moments exceeds 2^62 units of 2^-40")
    total += packed


@lru_cache(maxsize=8)
def _upper(dim: int) -> NDArray[np.intp]:
    row, column = np.triu_indices(dim)
    return row * dim + column


@lru_cache(maxsize=8)
def _places(dim: int) -> NDArray[np.intp]:
    """Where each entry of a symmetric matrix lies in its packed upper triangle, (d, d)."""
    places = np.empty((dim, dim), dtype=np.intp)
    row, column = np.triu_indices(dim)
    places[row, column] = places[column, row] = np.arange(len(row))
    return places


def _diagonal(dim: int) -> NDArray[np.intp]:
    row = np.arange(dim)
    return row * dim - row * (row - 1) // 2
