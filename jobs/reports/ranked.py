"""The chart of a ranking: values with their intervals, and beside them the differences to the leader.

One scale for the values would be squeezed by a single outlier; the differences have their own, which such a one leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from jobs.reports.drawing import INK
from jobs.reports.marks import Room, by_state, inline, names_axis, states_of
from jobs.reports.names import labels
from jobs.reports.vega import Layer, Spec, channel, fixed, layered, options

ROW = 26
FAR = 6
"""A difference that is further from the median one than so many median distances from it is an arrow at the panel's edge."""
LETTER = 8
"""Pixels of a figure, in a wide font."""


class Standing(NamedTuple):
    """A row of the chart; the difference is that to the leader, with its interval where there is one."""

    source: str
    value: float
    low: float | None
    high: float | None
    state: str
    difference: float
    difference_low: float | None
    difference_high: float | None


def ranked(rows: Sequence[Standing], room: Room, measure: str, digits: int, signed: bool) -> Any:
    """Return the chart, best first. `measure`: what the values are, with their unit. `signed`: whether values have a sign."""
    names = labels([row.source for row in rows], room.most)
    form = f"{'+' if signed else ''}.{digits}f"
    values = [{**row._asdict(), "label": names[row.source], "said": _said(row, form, digits)} for row in rows]
    columns = 1 if room.narrow else 3
    figures = LETTER * (digits + 4) + 6
    if len(rows) < 2:
        return _values(values, room, measure, room.width - room.names - 12, columns)
    if room.narrow:
        width = room.width - room.names - 12
        values_above = _values(values, room, measure, width, columns)
        return {"vconcat": [values_above, _differences(values, room, width - figures, digits, True)], "spacing": 18}
    free = room.width - room.names - figures - 46
    left = _values(values, room, measure, free // 2, columns)
    return {"hconcat": [left, _differences(values, room, free - free // 2, digits, False)], "spacing": 26}


def _said(row: Standing, form: str, digits: int) -> str:
    """Return a row in words, for who points at it."""
    parts = [f"{row.source}: {row.value:{form}}"]
    if row.low is not None and row.high is not None and math.isfinite(row.low + row.high):
        parts.append(f"95 % interval {row.low:{form}} to {row.high:{form}}")
    if row.difference:
        parts.append(f"to the leader {row.difference:+.{digits}f}")
    if row.difference and row.difference_low is not None and row.difference_high is not None:
        parts.append(f"({row.difference_low:+.{digits}f} to {row.difference_high:+.{digits}f})")
    return ", ".join(parts)


def _names(values: list[dict[str, Any]], room: Room, shown: bool) -> Spec:
    if not shown:
        return channel("label:N", sort=[value["label"] for value in values], axis=None)
    return channel("label:N", sort=[value["label"] for value in values], axis=names_axis(room))


def _values(values: list[dict[str, Any]], room: Room, measure: str, width: int, columns: int) -> Any:
    y, looks = _names(values, room, True), by_state(states_of(values), columns=columns)
    base = Layer(inline(values)).encode(y=y, description="said:N")
    axis = options(title=measure, tickCount=4, labelOverlap=True)
    zero = Layer(inline([{"zero": 0}])).mark("rule", color=INK, strokeWidth=1).encode(x=channel("zero:Q", axis=axis))
    sure = Layer(inline([value for value in values if value["low"] is not None])).encode(y=y, description="said:N")
    lines = sure.mark("rule", strokeWidth=3, strokeCap="round").encode(x="low:Q", x2="high:Q", color=looks["color"])
    spots = base.mark("point", aria=True, filled=True, size=100, opacity=1).encode(x="value:Q", **looks)
    return layered(zero, lines, spots, width=width, height=ROW * len(values))


def inside(rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return the range of differences that is drawn: that of all rows and their intervals but those far from the others."""
    found = [row["difference"] for row in rows]
    middle = median(found)
    apart = FAR * median(abs(value - middle) for value in found)
    kept = [row for row in rows if abs(row["difference"] - middle) <= apart] if apart > 0 else rows
    reached = [
        float(row[key])
        for row in kept
        for key in ("difference", "difference_low", "difference_high")
        if row[key] is not None and math.isfinite(row[key])
    ]
    low, high = min(reached), max(reached)
    room = (high - low or 1.0) * 0.05
    return low - room, high + room


def _differences(values: list[dict[str, Any]], room: Room, width: int, digits: int, names: bool) -> Any:
    """Return differences to the leader with their intervals, in figures at the edge; an arrow where one lies further out."""
    domain = inside(values)
    shown = []
    for value in values:
        low, high = (
            value["difference"] if value[key] is None else value[key] for key in ("difference_low", "difference_high")
        )
        under, over = value["difference"] < domain[0], value["difference"] > domain[1]
        shown.append({
            **value, "spot": domain[0] if under else domain[1] if over else value["difference"],
            "low_end": min(max(low, domain[0]), domain[1]), "high_end": max(min(high, domain[1]), domain[0]),
            "under": under, "over": over,
            "figure": "leader" if value is values[0] else f"{value['difference']:+.{digits}f}",
        })  # fmt: skip
    y, looks = _names(values, room, names), by_state(states_of(values), legend=False)
    axis = options(
        title="less than the leader (line: 95 % interval)", tickCount=3, labelOverlap=True, format=f"+.{digits}~f"
    )
    scale = options(domain=list(domain), nice=False, zero=False)
    x = channel("spot:Q", scale=scale, axis=axis)
    base = Layer(inline(shown)).encode(y=y, description="said:N")
    near = [value for value in shown if not (value["under"] or value["over"])]
    inner = Layer(inline(near)).encode(y=y, description="said:N")
    lines = inner.mark("rule", strokeWidth=3, strokeCap="round").encode(
        x=channel("low_end:Q", scale=scale, axis=axis), x2="high_end:Q", color=looks["color"]
    )
    spots = inner.mark("point", aria=True, filled=True, size=100, opacity=1).encode(x=x, **looks)
    layers = [lines, spots]
    if domain[0] <= 0 <= domain[1]:
        layers.insert(0, Layer(inline([{"spot": 0}])).mark("rule", color=INK, strokeWidth=1).encode(x=x))
    for side, shape in (("under", "triangle-left"), ("over", "triangle-right")):
        far = [value for value in shown if value[side]]
        arrows = Layer(inline(far)).mark("point", aria=True, filled=True, size=110, opacity=1, shape=shape)
        layers += [arrows.encode(x=x, y=y, description="said:N", color=looks["color"])] if far else []
    figures = base.mark("text", align="right", dx=LETTER * (digits + 4) + 4).encode(x=fixed(width), text="figure:N")
    return layered(*layers, figures, width=width, height=ROW * len(values))
