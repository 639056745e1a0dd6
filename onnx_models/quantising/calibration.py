"""Calibrated int8 for one linear layer: which scales, and how much is lost.

Activations are uint8 with one scale and zero point a layer, fixed by calibration, so that a vector depends on its text
alone; weights are int8 with one scale an output channel. Input channels far above the others are scaled down and the
weights' rows up (as in SmoothQuant, arXiv 2211.10438), as far as the layer's output error on the calibration texts
says; the mean error that is left goes into the bias (bias correction, arXiv 1906.04721).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

THRESHOLDS = (1.0, 0.999, 0.9975, 0.995, 0.98, 0.95, 0.9, 0.8, 0.6)
"""Quantiles of the channels' largest values that are tried as the level above which a channel is scaled down."""


@dataclass(frozen=True)
class Sample:
    """What a layer's input looked like: rows float32 (n, in), and each channel's least and largest value (in,)."""

    rows: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class QuantizedLinear:
    """One layer in int8.

    Attributes:
        smooth: what input channels are divided by, float32 (in,).
        scale, zero: of the input after that: x ~ (q - zero) * scale.
        weight: int8 (in, out).  weight_scale: float32 (out,).
        correction: what the bias gains, float32 (out,).
        error: mean square of the output error over the output's variance.
    """

    smooth: Array
    scale: np.float32
    zero: np.uint8
    weight: NDArray[np.int8]
    weight_scale: Array
    correction: Array
    error: float


def quantize_weight(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """Return int8 (in, out) and float32 scales (out,): symmetric, one scale an output channel."""
    scale = np.abs(weight).max(axis=0) / np.float32(127)
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale


def quantize_linear(sample: Sample, weight: Array) -> QuantizedLinear:
    """Return the layer in int8 with the threshold that loses least on the sample. weight: float32 (in, out)."""
    peaks = np.maximum(np.abs(sample.low), np.abs(sample.high))
    wanted = sample.rows @ weight
    spread = float(np.var(wanted, axis=0).mean()) or 1.0
    best: QuantizedLinear | None = None
    for level in sorted({float(np.quantile(peaks, threshold)) for threshold in THRESHOLDS}, reverse=True):
        smooth = np.maximum(1, peaks / max(level, 1e-6)).astype(np.float32)
        found = _with_smoothing(sample, weight, smooth, wanted, spread)
        if best is None or found.error < best.error:
            best = found
    assert best is not None
    return best


def _with_smoothing(sample: Sample, weight: Array, smooth: Array, wanted: Array, spread: float) -> QuantizedLinear:
    low = min(0.0, float((sample.low / smooth).min()))
    high = max(0.0, float((sample.high / smooth).max()))
    scale = np.float32(max(high - low, 1e-6) / 255)
    zero = np.uint8(np.clip(np.rint(-low / scale), 0, 255))
    numbers = np.clip(np.rint(sample.rows / smooth / scale) + np.float32(zero), 0, 255) - np.float32(zero)
    quantized, weight_scale = quantize_weight(weight * smooth[:, None])
    error = wanted - (numbers * scale) @ (quantized * weight_scale)
    mean = error.mean(axis=0)
    left = float(np.square(error - mean).mean()) / spread
    return QuantizedLinear(smooth, scale, zero, quantized, weight_scale, mean.astype(np.float32), left)
