"""The two identities behind the formula, checked against finite differences of the loss.

The loss of a query z on the sphere against one pair is log(1 + exp(-x)), x = <z, zp - zn> / tau.
"""

from typing import NamedTuple

import numpy as np
import pytest

from eci_sql.moments import ROW_BITS, add_outer, pack_upper, residual_rows, unpack_upper

TAU, DIM, COUNT = 0.3, 5, 12


class Sample(NamedTuple):
    """COUNT triples of unit vectors in float32, and their similarities."""

    zq: np.ndarray
    zp: np.ndarray
    zn: np.ndarray
    s_pos: np.ndarray
    s_neg: np.ndarray

    @property
    def x(self) -> np.ndarray:
        return np.asarray((self.s_pos - self.s_neg) / TAU)

    @property
    def locality(self) -> np.ndarray:
        return np.asarray(1.0 / (1.0 + np.exp(self.x)))

    def moment(self, weight: np.ndarray) -> np.ndarray:
        """Sum of w r r^T, by the code under test."""
        total = np.zeros((DIM, DIM), dtype=np.int64)
        add_outer(total, residual_rows(*self, weight))
        return unpack_upper(pack_upper(total), DIM)


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3, COUNT, DIM))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    zq, zp, zn = vectors.astype(np.float32)
    s_pos, s_neg = ((zq.astype(np.float64) * z).sum(axis=1) for z in (zp, zn))
    return Sample(zq, zp, zn, s_pos, s_neg)


def loss(z: np.ndarray, zp: np.ndarray, zn: np.ndarray) -> float:
    return float(np.log1p(np.exp(-(z @ (zp.astype(np.float64) - zn)) / TAU)))


def along(z: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Point of the sphere reached from z by the geodesic of a tangent vector."""
    length = np.linalg.norm(step)
    if length == 0.0:
        return z
    point: np.ndarray = np.cos(length) * z + np.sin(length) / length * step
    return point


def projector(z: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.eye(DIM) - np.outer(z, z)
    return out


def each(sample: Sample) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    z = sample.zq.astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return list(zip(z, sample.zp, sample.zn, strict=True))


def numeric_gradient(z: np.ndarray, zp: np.ndarray, zn: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Gradient of the loss in the tangent space at z, by central differences."""
    steps = projector(z) * h
    return np.array([(loss(along(z, s), zp, zn) - loss(along(z, -s), zp, zn)) / (2 * h) for s in steps])


def numeric_hessian(z: np.ndarray, zp: np.ndarray, zn: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Hessian of the loss in the tangent space at z, by central differences over geodesics."""

    def value(step: np.ndarray) -> float:
        return loss(along(z, step), zp, zn)

    steps = projector(z) * h
    return np.array(
        [[(value(a + b) - value(a - b) - value(b - a) + value(-a - b)) / (4 * h * h) for b in steps] for a in steps]
    )


def test_the_residual_is_the_direction_of_the_loss_gradient(sample: Sample) -> None:
    rows = residual_rows(*sample, np.ones(COUNT)) * 2.0**-ROW_BITS
    expected = [numeric_gradient(*one) for one in each(sample)]
    np.testing.assert_allclose(sample.locality[:, None] * rows / TAU, expected, atol=1e-5)


def test_the_moment_is_the_gauss_newton_hessian_of_the_loss(sample: Sample) -> None:
    # On the sphere the full Hessian is Gauss-Newton's plus the curvature term l x (I - z z^T).
    locality = sample.locality
    hessian = sum(
        numeric_hessian(z, zp, zn) - curvature * projector(z)
        for (z, zp, zn), curvature in zip(each(sample), locality * sample.x, strict=True)
    )
    moment = sample.moment(locality * (1.0 - locality)) / TAU**2
    np.testing.assert_allclose(moment, hessian, atol=1e-4 * np.abs(moment).max())


def test_the_squared_gradient_is_the_loss_taken_off_by_a_small_step(sample: Sample) -> None:
    rate = 1e-6
    reduction = 0.0
    for z, zp, zn in each(sample):
        downhill = -rate * numeric_gradient(z, zp, zn)
        reduction += (loss(z, zp, zn) - loss(along(z, downhill), zp, zn)) / rate
    predicted = np.trace(sample.moment(sample.locality**2)) / TAU**2
    assert predicted == pytest.approx(reduction, rel=1e-4)
