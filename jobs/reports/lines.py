"""Charts of lines, each with its name at its end: what the eye need not look up in a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jobs.reports.drawing import INK, REST
from jobs.reports.marks import LINES, Room, held, inline, spread
from jobs.reports.names import labels
from jobs.reports.vega import Layer, channel, fixed, layered, options

LINE = 15
"""Pixels between two names."""


class Line(NamedTuple):
    """A source's way: points (x, low, value, high), and its place among the colours, None for grey."""

    source: str
    points: Sequence[tuple[Any, float, float, float]]
    color: int | None


def ended(lines: Sequence[Line], room: Room, height: int, x: Any, title: str, spans: bool) -> Any:
    """Return lines with their names at the right.

    Args:
        x: the channel of the field `x`.  title: of the vertical axis.
        spans: whether intervals are drawn; lines that have their points at the same places would hide each other.
    """
    names = labels([line.source for line in lines], room.most)
    ends = [
        v for line in lines for _, low, value, high in line.points for v in ((low, value, high) if spans else (value,))
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room_above = (high - low or 1.0) * 0.05
    domain = [low - room_above * (low < 0), high + room_above]
    width = room.width - room.names - 66
    y = channel("y:Q", scale=options(domain=domain, nice=False),
              axis=options(title=title, tickCount=5, minExtent=34, maxExtent=34))  # fmt: skip

    def rows(of: Sequence[Line]) -> list[dict[str, Any]]:
        return [
            {"x": at, "low": a, "y": b, "high": c, "source": line.source, "color": LINES[line.color or 0],
             "said": f"{line.source}: {b:.4g} ({a:.4g} to {c:.4g})"}
            for line in of for at, a, b, c in line.points
        ]  # fmt: skip

    grey, strong = [line for line in lines if line.color is None], [line for line in lines if line.color is not None]
    color = channel("color:N", scale=None)
    base = Layer(inline(rows(strong))).encode(x=x, detail="source:N", color=color)
    layers = [
        held(width, 0, room.names + 18, height),
        Layer(inline([{"y": 0}])).mark("rule", color=INK, strokeWidth=1).encode(y=y),
    ]
    if grey:
        layers.append(
            Layer(inline(rows(grey))).mark("line", strokeWidth=1.25, color=REST).encode(x=x, y=y, detail="source:N")
        )
    layers += [
        *([base.mark("rule", strokeWidth=1.5).encode(y="low:Q", y2="high:Q")] if spans else []),
        base.mark("line", strokeWidth=2).encode(y=y),
        base.mark("point", aria=True, filled=True, size=50, opacity=1).encode(y=y, description="said:N"),
        *_names(strong, names, domain, width, height),
    ]
    return layered(*layers, width=width, height=height)


def _names(lines: Sequence[Line], names: dict[str, str], domain: list[float], width: int, height: int) -> list[Any]:
    """Return the names at the right edge, each with a short line to where its own ends."""
    per = height / (domain[1] - domain[0])
    ends = [(domain[1] - line.points[-1][2]) * per for line in lines]
    places = spread(ends, LINE, 6, height - 6)
    found: list[Any] = []
    for line, end, place in zip(lines, ends, places, strict=True):
        at = Layer(inline([{"name": names[line.source]}]))
        found.append(
            at.mark("rule", color=LINES[line.color or 0], strokeWidth=1).encode(
                x=fixed(width + 3), x2=fixed(width + 14), y=fixed(end), y2=fixed(place)
            )
        )
        found.append(
            at.mark("text", align="left", color=INK, limit=0).encode(x=fixed(width + 18), y=fixed(place), text="name:N")
        )
    return found
