"""What one triple adds: the change of a log-determinant by one weighted residual.

Covers: leverages r^T A^-1 r and the information of single triples, with A = I + (d/lambda) M.
Does not cover: the sums M (moments.py) and the score of a source (information.py).

By the matrix determinant lemma logdet(A + c w r r^T) - logdet(A) = log(1 + c w r^T A^-1 r), so nothing is approximated.
"""

import numpy as np
from scipy.linalg import solve_triangular

from eci_sql.information import factor_of
from eci_sql.moments import FloatArray, RefArray, VectorArray

BLOCK_ROWS = 2048


def inverse_factor(mean_matrix: FloatArray, lam: float) -> FloatArray:
    """W (d, d) float64, lower triangular, with W^T W = (I + (d/lambda) M)^-1.

    Args:
        mean_matrix: M, (d, d) float64, symmetric, positive semi-definite.
        lam: the ridge lambda, above 0.

    Raises:
        MetricError: the matrix is not finite or far from positive semi-definite.
    """
    factor = factor_of(mean_matrix, lam)
    return np.asarray(solve_triangular(factor, np.eye(len(mean_matrix)), lower=True), dtype=np.float64)


def residuals(
    vectors: VectorArray, refs: tuple[RefArray, RefArray, RefArray], s_pos: FloatArray, s_neg: FloatArray
) -> FloatArray:
    """R = (zn - zp) - zq (s_neg - s_pos), (n, d) float64.

    Args:
        vectors: (m, d) float32 unit vectors.  refs: rows of it of queries, positives, negatives, (n,) each.
        s_pos, s_neg: (n,) float64 dot products of the query with the positive and with the negative.
    """
    q, p, n = (vectors[ref].astype(np.float64) for ref in refs)
    n -= p
    q *= (s_neg - s_pos)[:, None]
    n -= q
    return n


def leverages(rows: FloatArray, factor: FloatArray) -> FloatArray:
    """r^T A^-1 r of rows (n, d) float64, (n,) float64, not negative; `factor` is W of `inverse_factor`."""
    # blocks of one size: the last bits of a product follow the shape of its block
    found = [
        np.einsum("ij,ij->i", turned, turned)
        for start in range(0, len(rows), BLOCK_ROWS)
        for turned in [rows[start : start + BLOCK_ROWS] @ factor.T]
    ]
    return np.concatenate(found) if found else np.zeros(0)


def added(weight: FloatArray, leverage: FloatArray, n: int, dim: int, lam: float) -> FloatArray:
    """Information of triples, (n,) float64 nats: log(1 + (d/(lambda N)) |w| r^T A^-1 r) with the sign of w.

    Args:
        weight: (n,) float64, signed.  leverage: (n,) by the matrix of the weight's sign.
        n: examples N of the source.  dim: d.  lam: the ridge lambda.
    """
    result: FloatArray = np.sign(weight) * np.log1p(np.abs(weight) * leverage * (dim / (lam * n)))
    return result
