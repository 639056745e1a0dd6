"""NumPy functions that DuckDB's SQL calls, over the vectors and token sets of one part of a fold.

Rows are handed over as *refs*: positions in the part's sorted list of texts. Vectors stay in NumPy and never pass
through the database. Results do not depend on how DuckDB cuts its rows into calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from eci_sql.information import information
from eci_sql.moments import dim_of, unpack_upper

if TYPE_CHECKING:
    import duckdb


_CACHE_ROWS = 128


@dataclass(frozen=True)
class TokenSets:
    """Sets of token ids of n texts: text i has `tokens[offsets[i]:offsets[i + 1]]` (int32), ascending, each once.

    Token ids number the tokens that some query holds, with their idf in `weights`: a query's set is whole, and of a
    passage's set no other token can count. `known` (n,) is False for a text that is absent (ids only).
    """

    offsets: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    known: np.ndarray

    def overlap(self, queries: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return sum of idf over q∩n / sum of idf over q, float64 (m,); 0 for an empty query, nan where a text is absent.

        Every query token is searched for in its negative's tokens, all pairs at once.
        """
        pair, wanted, found = self._search(queries, negatives)
        idf = self.weights[wanted]
        total = np.bincount(pair, idf, len(queries))
        shared = np.bincount(pair, idf * found, len(queries))
        result = np.divide(shared, total, out=np.zeros(len(queries)), where=total > 0)
        result[~(self.known[queries] & self.known[negatives])] = np.nan
        return result

    def meet(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return which queries have a token in common with their passage, bool (m,); False where a text is absent."""
        pair, _, found = self._search(queries, passages)
        met = np.zeros(len(queries), dtype=bool)
        met[pair[found]] = True
        return met

    def _search(self, queries: np.ndarray, passages: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each token of each pair's query: the pair's number, the token, and whether the passage has it."""
        first = self.offsets[queries]
        lengths = self.offsets[queries + 1] - first
        pair = np.repeat(np.arange(len(queries), dtype=np.int32), lengths)
        before = np.cumsum(lengths, dtype=np.int32) - lengths
        wanted = self.tokens[np.arange(len(pair), dtype=np.int32) + np.repeat(first - before, lengths)]
        return pair, wanted, self._contains(passages[pair], wanted)

    def _contains(self, texts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Return whether each wanted token is in its text's set: a binary search in all sets at once.

        Every search takes the same steps, of halving length; `at` passes over the tokens below the wanted one.
        """
        if not len(self.tokens):
            return np.zeros(len(wanted), dtype=bool)
        at, end = self.offsets[texts], self.offsets[texts + 1]
        step = 1 << int((end - at).max(initial=0)).bit_length() >> 1
        while step:
            ahead = at + np.int32(step)
            below = self.tokens.take(ahead - 1, mode="clip") < wanted
            below &= ahead <= end
            at += np.int32(step) * below
            step >>= 1
        inside: np.ndarray = at < end
        inside &= self.tokens.take(at, mode="clip") == wanted
        return inside


@dataclass(frozen=True)
class Vectors:
    """Unit vectors float32 (n, d) of n texts; `valid` (n,) is False where there is no usable one."""

    matrix: np.ndarray
    valid: np.ndarray

    def similarities(self, queries: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return <q,p>, <q,n> and <p,n> of m triples, float64 (3, m); nan where a vector is missing.

        Products and sums are in float64: the difference of two similarities is divided by a small temperature.
        Triples go in blocks that stay in the cache; a row's sums depend on the row alone, not on the block.
        """
        result = np.empty((3, len(queries)))
        single = np.empty((_CACHE_ROWS, self.matrix.shape[1]), dtype=np.float32)
        double = np.empty((3, *single.shape))
        for start in range(0, len(queries), _CACHE_ROWS):
            part = slice(start, min(start + _CACHE_ROWS, len(queries)))
            rows = slice(0, part.stop - start)
            for refs, target in zip((queries, positives, negatives), double, strict=True):
                self.matrix.take(refs[part], axis=0, out=single[rows], mode="clip")  # "raise" would copy
                target[rows] = single[rows]
            q, p, n = double[:, rows]
            for k, (a, b) in enumerate(((q, p), (q, n), (p, n))):
                np.einsum("ij,ij->i", a, b, out=result[k, part])
        q_valid, p_valid, n_valid = (self.valid[refs] for refs in (queries, positives, negatives))
        for k, usable in enumerate((q_valid & p_valid, q_valid & n_valid, p_valid & n_valid)):
            result[k, ~usable] = np.nan
        return result


@dataclass
class Texts:
    """The texts of the part that is being scored: a connection serves part after part."""

    vectors: Vectors = field(init=False)
    sets: TokenSets = field(init=False)


def register(connection: duckdb.DuckDBPyConnection) -> Texts:
    """Register `similarities(INTEGER, INTEGER, INTEGER)`, a struct, and `lexical_overlap(INTEGER, INTEGER)`.

    Returns:
        The texts that both look at, to be filled before they are called.
    """
    texts = Texts()

    def similarities(query: pa.Array, positive: pa.Array, negative: pa.Array) -> pa.Array:
        found = texts.vectors.similarities(_ints(query), _ints(positive), _ints(negative))
        return pa.StructArray.from_arrays([_nullable(row) for row in found], ["s_pos", "s_neg", "s_pair"])

    def lexical_overlap(query: pa.Array, negative: pa.Array) -> pa.Array:
        return _nullable(texts.sets.overlap(_ints(query), _ints(negative)))

    struct = "STRUCT(s_pos DOUBLE, s_neg DOUBLE, s_pair DOUBLE)"
    # a missing vector or text gives null, which only `special` lets a function return
    for function, arguments, result in ((similarities, 3, struct), (lexical_overlap, 2, "DOUBLE")):
        connection.create_function(  # type: ignore[call-overload]
            function.__name__, function, ["INTEGER"] * arguments, result, type="arrow", null_handling="special"
        )
    return texts


def _ints(column: pa.Array) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def register_information(connection: duckdb.DuckDBPyConnection) -> None:
    """Register `eci_information(BIGINT[], BIGINT, DOUBLE)`: a packed matrix of `moments`, n examples, lambda -> DOUBLE.

    Works on any sum of rows of `moments` too; n = 0 gives 0.
    """

    def one(matrix: Any, n: int, lam: float) -> float:
        packed = matrix.values.to_numpy()
        return information(unpack_upper(packed, dim_of(len(packed))) / n, lam)

    _register_information(connection, "BIGINT[]", one)


@dataclass
class Matrices:
    """Matrices that SQL names by numbers: `information` gives that of one, of its examples and lambda."""

    information: Callable[[int, int, float], float] = field(init=False)


def register_numbered(connection: duckdb.DuckDBPyConnection) -> Matrices:
    """Register `eci_information(INTEGER, BIGINT, DOUBLE)`, as `register_information` does, over numbers of matrices.

    Returns:
        The matrices that it looks at, to be filled before it is called.
    """
    matrices = Matrices()
    _register_information(connection, "INTEGER", lambda number, n, lam: matrices.information(number.as_py(), n, lam))
    return matrices


def _register_information(
    connection: duckdb.DuckDBPyConnection, kind: str, one: Callable[[Any, int, float], float]
) -> None:
    def eci_information(matrices: pa.Array, examples: pa.Array, lams: pa.Array) -> pa.Array:
        rows = zip(matrices, examples.to_pylist(), lams.to_pylist(), strict=True)
        return pa.array([one(matrix, n, lam) if n else 0.0 for matrix, n, lam in rows], pa.float64())

    connection.create_function(  # type: ignore[call-overload]
        "eci_information", eci_information, [kind, "BIGINT", "DOUBLE"], "DOUBLE", type="arrow"
    )
