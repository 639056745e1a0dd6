"""What one triple adds: the change of the log-determinant, and the trace identity over all of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from eci_sql.leverage import added, inverse_factor, leverages
from eci_sql.moments import unpack_upper
from jobs.finished.committed import Finished
from tests.decide.conftest import Decided


def logdet(matrix: np.ndarray) -> float:
    return float(np.linalg.slogdet(matrix)[1])


def test_single_terms_are_the_change_of_the_logdet() -> None:
    rng = np.random.default_rng(0)
    dim, n, lam = 7, 50, 0.8
    rows, weight = rng.standard_normal((n, dim)), rng.uniform(0.01, 0.4, n)
    mean = (rows * weight[:, None]).T @ rows / n
    system = np.eye(dim) + dim / lam * mean
    found = added(weight, leverages(rows, inverse_factor(mean, lam)), n, dim, lam)
    for row, w, value in zip(rows, weight, found, strict=True):
        more = system + dim / (lam * n) * w * np.outer(row, row)
        assert value == pytest.approx(logdet(more) - logdet(system), rel=1e-9)
    assert np.array_equal(added(-weight, leverages(rows, inverse_factor(mean, lam)), n, dim, lam), -found)


def test_first_order_terms_of_a_run_sum_to_the_trace_identity(decided: Decided) -> None:
    run = Finished.open(str(decided.out))
    scores = pa.concat_tables(run.scores())
    assert scores["information"].null_count == 0
    weight, value = scores["weight"].to_numpy(), scores["information"].to_numpy()
    assert np.array_equal(np.sign(weight), np.sign(value))
    source = np.array(scores["source"].to_pylist())
    for name in run.sources:
        sums = run.totals(name)
        for packed, sign in ((sums.plus, 1), (sums.minus, -1)):
            scaled = unpack_upper(packed.whole, run.dim) / sums.n.sum() * run.dim / run.lam
            trace = np.trace(np.linalg.solve(np.eye(run.dim) + scaled, scaled))
            terms = np.expm1(np.abs(value[(source == name) & (np.sign(weight) == sign)]))
            assert terms.sum() == pytest.approx(trace, rel=1e-4)
