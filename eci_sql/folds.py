"""The sums of a source by fold, of one sign each: as matrices, or as the rows that they are sums of while these are few.

Covers: information whole and without a fold, sums pooled, the mean matrices of several sources.
Does not cover: how rows and sums are made (moments.py), log-determinants (information.py), shares (mixtures.py).

A log-determinant of n rows is that of their n x n Gram matrix: logdet(I + c R^T R) = logdet(I + c R R^T). With at most
d/2 rows it costs an eighth, and often a thousandth. Gram matrices are exact, and rows are put in an order of their
content, so that a score does not depend on how they came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eci_sql.information import information, spectrum
from eci_sql.moments import (
    SUM_BITS,
    FloatArray,
    IntArray,
    RowArray,
    add_packed,
    dim_of,
    is_few,
    packed_of_rows,
    unpack_upper,
)


class BySign(ABC):
    """Sums of |w| r r^T of one sign by fold; `dim` is d, `folds` F."""

    dim: int
    folds: int

    @abstractmethod
    def fold(self, number: int) -> IntArray:
        """Return one fold's sum, packed int64 (P,) in units of 2^-UNIT_BITS."""

    @abstractmethod
    def first(self, count: int) -> IntArray:
        """Return the sum over the first `count` folds, packed int64 (P,). Raises MetricError where it is too large."""

    @cached_property
    def whole(self) -> IntArray:
        """The sum over all folds, packed int64 (P,). Raises as `first`."""
        return self.first(self.folds)

    @abstractmethod
    def information(self, n: int, lam: float, without: int | None = None) -> float:
        """(1/d) logdet(I + (d/lambda) S/n) over all folds, or all but one; n examples are in these.

        Raises:
            MetricError: as `information`.
        """

    @abstractmethod
    def spectrum(self, n: int) -> tuple[float, float]:
        """Trace and effective rank of S/n over all folds."""


class FoldMatrices(BySign):
    """Sums that are matrices; one fold is in memory at a time."""

    def __init__(self, folds: int, dim: int, fold: Callable[[int], IntArray | None]) -> None:
        """Take what gives a fold's packed sum, None for a fold of zeros; it is called again where it is needed again."""
        self.folds, self.dim, self._fold = folds, dim, fold

    @classmethod
    def of(cls, packed: IntArray) -> FoldMatrices:
        """Take packed sums int64 (F, P)."""
        return cls(len(packed), dim_of(packed.shape[1]), packed.__getitem__)

    def fold(self, number: int) -> IntArray:
        """Return one fold's sum."""
        found = self._fold(number)
        return np.zeros(self.dim * (self.dim + 1) // 2, dtype=np.int64) if found is None else found

    def first(self, count: int) -> IntArray:
        """Return the sum over the first folds."""
        total = np.zeros(self.dim * (self.dim + 1) // 2, dtype=np.int64)
        for number in range(count):
            packed = self._fold(number)
            if packed is not None:
                add_packed(total, packed)
        return total

    def information(self, n: int, lam: float, without: int | None = None) -> float:
        """Subtract as integers, so that leaving a fold out is exactly never having seen it."""
        packed = self.whole if without is None else self.whole - self.fold(without)
        return information(unpack_upper(packed, self.dim) / n, lam)

    def spectrum(self, n: int) -> tuple[float, float]:
        """Of the matrix."""
        return spectrum(unpack_upper(self.whole, self.dim) / n)


class FoldRows(BySign):
    """Sums of few rows (`is_few`), which are kept.

    Attributes:
        rows: (n, d) float64 holding integers, in units of 2^-ROW_BITS, by content.  of: (n,) the fold of each.
    """

    def __init__(self, folds: int, rows: RowArray | FloatArray, of: NDArray[np.integer]) -> None:
        """Take rows in any order."""
        order = sorted(range(len(rows)), key=lambda at: (int(of[at]), rows[at].tobytes()))
        self.folds, self.dim = folds, rows.shape[1]
        self.rows, self.of = rows[order].astype(np.float64), of[order]

    def fold(self, number: int) -> IntArray:
        """Return one fold's sum."""
        return packed_of_rows([self.rows[self.of == number]], self.dim)

    def first(self, count: int) -> IntArray:
        """Return the sum over the first folds."""
        return packed_of_rows(
            [self.rows[self.of == number] for number in np.unique(self.of[self.of < count])], self.dim
        )

    @cached_property
    def gram(self) -> FloatArray:
        """Dot products of the rows, (n, n) float64."""
        return _gram(self.rows)

    def information(self, n: int, lam: float, without: int | None = None) -> float:
        """Of the rows' Gram matrix."""
        kept = np.flatnonzero(self.of != without)
        return information(self.gram[np.ix_(kept, kept)] / n, lam, self.dim)

    def spectrum(self, n: int) -> tuple[float, float]:
        """Of the Gram matrix, whose eigenvalues above 0 are the same."""
        return spectrum(self.gram / n)


def by_sign(
    folds: int,
    dim: int,
    fold: Callable[[int], IntArray | None],
    rows: Sequence[tuple[int, RowArray | FloatArray]] | None,
) -> BySign:
    """Return sums as rows where all the rows are there and few, else as matrices.

    Args:
        fold: as of FoldMatrices.  rows: (fold, (n, d) as of FoldRows) pairs; None where some fold is there as a sum alone.
    """
    if rows is None or not is_few(sum(len(part) for _, part in rows), dim):
        return FoldMatrices(folds, dim, fold)
    of = np.repeat(np.array([number for number, _ in rows], np.int64), [len(part) for _, part in rows])
    return FoldRows(folds, np.concatenate([np.zeros((0, dim), np.int32), *(part for _, part in rows)]), of)


class Folds(NamedTuple):
    """What a source's score is made of: sums by fold of either sign, examples (F,) int64."""

    plus: BySign
    minus: BySign
    n: IntArray

    @property
    def signs(self) -> tuple[BySign, BySign]:
        """The sums of either sign, those above 0 first."""
        return self.plus, self.minus


def pooled(parts: Sequence[Folds]) -> Folds:
    """All examples of several sources as one source: alpha_s = N_s / sum N, exactly.

    Raises:
        MetricError: sums too large for int64, when they are asked for.
    """
    plus, minus = (_pooled([part.signs[sign] for part in parts]) for sign in (0, 1))
    return Folds(plus, minus, np.sum([part.n for part in parts], axis=0, dtype=np.int64))


def _pooled(parts: Sequence[BySign]) -> BySign:
    if len(parts) == 1:
        return parts[0]
    few = _few(parts)
    if few is not None:
        rows, of = (np.concatenate(each) for each in zip(*((part.rows, part.of) for part in few), strict=True))
        return FoldRows(parts[0].folds, rows, of)

    def fold(number: int) -> IntArray:
        total = np.zeros_like(first := parts[0].fold(number))
        for packed in (first, *(part.fold(number) for part in parts[1:])):
            add_packed(total, packed)
        return total

    return FoldMatrices(parts[0].folds, parts[0].dim, fold)


def _few(parts: Sequence[BySign]) -> list[FoldRows] | None:
    """Return the parts if they are rows, and few in all; else None."""
    few = [part for part in parts if isinstance(part, FoldRows)]
    return few if len(few) == len(parts) and is_few(sum(len(part.rows) for part in few), few[0].dim) else None


class Mixed:
    """The sums of one sign of several sources, to be added up by weights."""

    def __init__(self, parts: Sequence[BySign]) -> None:
        """Take the parts; where their rows are few in all, as one Gram matrix, in an order that does not follow theirs."""
        self._parts, self._dim = parts, parts[0].dim
        few = _few(parts)
        self._gram: FloatArray | None = None
        if few is not None:
            rows = np.concatenate([part.rows for part in few])
            order = sorted(range(len(rows)), key=lambda at: rows[at].tobytes())
            self._gram = _gram(rows[order])
            self._source = np.repeat(np.arange(len(few)), [len(part.rows) for part in few])[order]
            self._of = np.concatenate([part.of for part in few])[order]

    def information(self, weight: Sequence[float], lam: float, without: int | None = None) -> float:
        """(1/d) logdet(I + (d/lambda) sum weight_s S_s), over all folds or all but one. Raises MetricError as `information`."""
        if self._gram is not None:
            each = np.where(self._of == (-1 if without is None else without), 0.0, np.asarray(weight)[self._source])
            kept = np.flatnonzero(each)
            root = np.sqrt(each[kept])
            return information(self._gram[np.ix_(kept, kept)] * root[:, None] * root, lam, self._dim)
        mean = np.zeros(self._dim * (self._dim + 1) // 2)
        for part, of_part in zip(self._parts, weight, strict=True):
            if of_part > 0.0:
                mean += (part.whole if without is None else part.whole - part.fold(without)) * of_part
        return information(unpack_upper(mean, self._dim), lam)

    def means(self, n: Sequence[int]) -> FloatArray:
        """Mean matrices S/n of the sources, (S, k, k) float64: k is d, or the number of rows where they are few in all.

        Those of few rows stand in one orthonormal basis of the space that all the rows span: sums of them have the
        spectrum of the sums of the (d, d) ones, but for zeros.
        """
        if self._gram is None:
            each = zip(self._parts, n, strict=True)
            return np.stack([unpack_upper(part.whole, self._dim) / examples for part, examples in each])
        if not len(self._gram):
            return np.zeros((len(n), 1, 1))
        values, vectors = np.linalg.eigh(self._gram)
        place = vectors * np.sqrt(np.clip(values, 0.0, None))  # its rows have these dot products
        own = [place[self._source == number] for number in range(len(n))]
        return np.stack([rows.T @ rows / examples for rows, examples in zip(own, n, strict=True)])


def _gram(rows: FloatArray) -> FloatArray:
    """Dot products of rows, (n, n) float64: exact before they are scaled, as no row is longer than 2^26.5 units."""
    product: FloatArray = rows @ rows.T
    product *= 2.0**-SUM_BITS
    return product
