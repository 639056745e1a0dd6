"""Drawings that fit into a line of text or a cell: an interval, a histogram, a way over runs. They only repeat what stands in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

WHISKER, HEIGHT = 84, 14
SPARK, TALL = 300, 64


class Scale:
    """Values to pixels."""

    def __init__(self, low: float, high: float, width: float) -> None:
        self.low, self.per = low, width / (high - low) if high > low else 0.0

    def __call__(self, value: float) -> str:
        """Return where a value lies."""
        return f"{(value - self.low) * self.per:.1f}".removesuffix(".0")


def ends(values: Sequence[float | None]) -> tuple[float, float]:
    """Return the range of what is finite among values, 0 in it."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    return min([0.0, *found]), max([0.0, *found])


def whisker(value: float, low: float | None, high: float | None, domain: tuple[float, float]) -> str:
    """Return a point with its interval, over a mark at 0. `domain`: what the cell's width stands for, in all rows alike."""
    at = Scale(*domain, WHISKER - 8)
    line = ""
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        line = f'<path class="s" d="M{at(low)},0H{at(high)}"/>'
    inner = f'<path class="z" d="M{at(0)},-6V6"/>{line}<circle r="3.5" cx="{at(value)}"/>'
    return _svg("whisker", WHISKER, HEIGHT, f"-4 -7 {WHISKER} {HEIGHT}", inner)


def histogram(bins: Sequence[tuple[float, float]], width: float, domain: tuple[float, float]) -> str:
    """Return shares by bins as bars; those below 0 have the colour of a warning. `bins`: (left edge, share), `width` wide each."""
    at, top = Scale(*domain, SPARK), max((share for _, share in bins), default=0.0) or 1.0
    below: list[str] = []
    above: list[str] = []
    for x, share in bins:
        if share:
            bar = f"M{at(x)},{TALL}V{TALL - share / top * (TALL - 4):.1f}H{at(x + width)}V{TALL}Z"
            (below if x < 0 else above).append(bar)
    zero = f'<path class="z" d="M{at(0)},0V{TALL}"/>'
    inner = f'<path class="w" d="{"".join(below)}"/><path class="a" d="{"".join(above)}"/>{zero}'
    return _svg("spark", SPARK, TALL + 1, f"0 0 {SPARK} {TALL + 1}", inner)


def way(values: Sequence[tuple[float, float, float]]) -> str:
    """Return values with their intervals (low, value, high) from left to right, in equal steps."""
    low, high = ends([number for value in values for number in value])
    step, per = (SPARK - 12) / max(len(values) - 1, 1), (TALL - 12) / ((high - low) or 1.0)

    def y(value: float) -> str:
        return f"{TALL - 6 - (value - low) * per:.1f}"

    places = [6 + i * step for i in range(len(values))]
    line = "L".join(f"{x:.1f},{y(value)}" for x, (_, value, _) in zip(places, values, strict=True))
    bars = "".join(
        f"M{x:.1f},{y(a)}V{y(b)}" for x, (a, _, b) in zip(places, values, strict=True) if math.isfinite(a + b)
    )
    spots = "".join(f'<circle r="3.5" cx="{x:.1f}" cy="{y(v)}"/>' for x, (_, v, _) in zip(places, values, strict=True))
    inner = f'<path class="s" d="{bars}"/><path class="l" d="M{line}"/>{spots}'
    return _svg("spark", SPARK, TALL, f"0 0 {SPARK} {TALL}", inner)


def _svg(kind: str, width: int, height: int, box: str, inner: str) -> str:
    return f'<svg class="{kind}" width="{width}" height="{height}" viewBox="{box}" aria-hidden="true">{inner}</svg>'
