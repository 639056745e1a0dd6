"""Where the encoder puts each source's negatives: margins and similarities of all sources on one scale, a row a source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jobs.output.records import SourceRow
from jobs.reports.data import BIN, ReportData
from jobs.reports.drawing import ACCENT, GRID, INK, WARN
from jobs.reports.html_parts import section
from jobs.reports.marks import Chart, Figures, Room, drawn, inline, listing, made_of
from jobs.reports.names import labels
from jobs.reports.vega import Layer, channel, fixed, layered, options

ROW = 56
"""Pixels of a row: its words, and below them its shape."""
SHAPE = 0.62
"""The part of a row that its highest bin fills."""


class Shape(NamedTuple):
    """A distribution of a row: what it is of, and (left edge, share) of its bins."""

    kind: str
    bins: Sequence[tuple[float, float]]


class Ridge(NamedTuple):
    """A row: its source, what is said of it on a wide and on a narrow page, its distributions."""

    source: str
    said: str
    short: str
    shapes: tuple[Shape, ...]


def margins(data: ReportData) -> Chart | None:
    """Margins: the part below 0 has a negative above its positive."""
    kinds = ("negative above its positive (margin below 0)", "positive above the negative")
    found = data.histograms.get("margin", {})
    rows = _rows(data)
    ridges = [
        Ridge(
            source,
            f"{rows[source]['n_examples']:,} triples, {rows[source]['violation_rate']:.1%} with the negative above its positive",
            f"n {rows[source]['n_examples']:,}, {rows[source]['violation_rate']:.1%} above",
            (
                Shape(kinds[0], [(x, share) for x, share in found[source] if x < 0]),
                Shape(kinds[1], [(x, share) for x, share in found[source] if x >= 0]),
            ),
        )
        for source in data.shown
        if found.get(source)
    ]
    if not ridges:
        return None
    best = float(data.ranking[0]["temperature"]) * math.log(3)
    return made_of(
        "margins",
        lambda room: _draw(ridges, room, kinds, "margin: positive less negative similarity", best),
        f"Distribution of the margin of {listing([ridge.source for ridge in ridges])}, all on one scale. What is left of 0 are "
        f"likely false negatives; the dashed line marks {best:.2f}, the margin with the largest weight.",
    )


def similarities(data: ReportData) -> Chart | None:
    """Similarities of positives and of negatives to the query."""
    kinds = ("positive (s_pos)", "negative (s_neg)")
    found = [data.histograms.get(measure, {}) for measure in ("s_pos", "s_neg")]
    rows = _rows(data)
    ridges = [
        Ridge(
            source,
            f"negatives at {rows[source]['hardness']:.2f} on average, positives at {rows[source]['hardness'] + rows[source]['margin']:.2f}",
            f"{rows[source]['hardness']:.2f} / {rows[source]['hardness'] + rows[source]['margin']:.2f}",
            (Shape(kinds[0], found[0][source]), Shape(kinds[1], found[1][source])),
        )
        for source in data.shown
        if found[0].get(source) and found[1].get(source)
    ]
    if not ridges:
        return None
    return made_of(
        "similarities",
        lambda room: _draw(ridges, room, kinds, "similarity to the query", None),
        f"Distribution of the similarity of query and positive, and of query and negative, of {listing([r.source for r in ridges])}, "
        "all on one scale. The less the two overlap, the easier the negatives.",
    )


def _rows(data: ReportData) -> dict[str, SourceRow]:
    return {row["source"]: row for row in data.ranking if row["kind"] == "source"}


def _draw(ridges: list[Ridge], room: Room, kinds: tuple[str, str], title: str, line: float | None) -> Any:
    names = labels([ridge.source for ridge in ridges], room.most)
    values, texts = [], []
    for i, ridge in enumerate(ridges):
        top = max((share for shape in ridge.shapes for _, share in shape.bins), default=0.0) or 1.0
        floor_of = i + 1 - 0.06
        for shape in ridge.shapes:
            values += [
                {"row": f"{i} {shape.kind}", "kind": shape.kind, "x": x, "y": round(floor_of - share / top * SHAPE, 3), "base": floor_of}
                for x, share in _closed(shape.bins)
            ]  # fmt: skip
        words = ridge.short if room.narrow else ridge.said
        texts.append({"y": i + 0.16, "name": names[ridge.source], "said": f"{names[ridge.source]} · {words}"})
    y = channel("y:Q", axis=None, scale=options(domain=[0, len(ridges)], reverse=True, nice=False))
    x = channel("x:Q", axis=options(title=title, tickCount=5, grid=True), scale=options(nice=False))
    colors = options(domain=list(kinds), range=[WARN, ACCENT] if line is not None else [ACCENT, WARN])
    legend = options(orient="top", title=None, symbolType="square", labelLimit=320, columns=1)
    color = channel("kind:N", scale=colors, legend=legend)
    base = Layer(inline(values)).encode(x=x, y=y, color=color, detail="row:N")
    shapes = base.mark("area", interpolate="step-after", fillOpacity=0.45).encode(y2="base:Q")
    edges = base.mark("line", interpolate="step-after", strokeWidth=1.5)
    floor = Layer(inline([{"y": i + 0.94} for i in range(len(ridges))])).mark("rule", color=GRID).encode(y=y)
    said = Layer(inline(texts)).mark("text", align="left", color=INK, dx=2).encode(x=fixed(0), y=y, text="said:N")
    layers = [floor, shapes, edges]
    if line is not None:
        sides = [{"x": at, "y": i + 0.3, "y2": i + 0.94} for i in range(len(ridges)) for at in (0.0, line)]
        zero, best = (Layer(inline([side for side in sides if side["x"] == at])) for at in (0.0, line))
        layers.append(zero.mark("rule", color=INK).encode(x=x, y=y, y2="y2:Q"))
        layers.append(best.mark("rule", color=INK, strokeDash=[3, 3]).encode(x=x, y=y, y2="y2:Q"))
    return layered(*layers, said, width=room.width - 12, height=ROW * len(ridges))


def _closed(bins: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return bins with an empty one at each end, so that a shape comes down to its floor."""
    if not bins:
        return []
    return [(bins[0][0], 0.0), *bins, (round(bins[-1][0] + BIN, 4), 0.0)]


def distributions_section(figures: Figures) -> str:
    """Return the section, empty without scores."""
    if "margins" not in figures:
        return ""
    lead = (
        "Where the encoder puts the negatives. A negative that scores above its positive (margin below 0) is probably "
        "a positive that nobody labelled; just right of 0, near the dashed line, is where a negative teaches most."
    )
    shapes = "Every row is as high as its highest bin: compare where the shapes lie, not how high they are."
    return section(
        "distributions", "Distributions", lead,
        "<h3>Margin</h3>", drawn(figures, "margins", shapes),
        "<h3>Similarity to the query</h3>", drawn(figures, "similarities", "On a narrow screen: mean of the negatives / of the positives."),
    )  # fmt: skip
