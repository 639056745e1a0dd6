"""The plane of information and misinformation: where each source's ECI comes from."""

from __future__ import annotations

import math
from typing import Any

from jobs.output.records import SourceRow, value_of
from jobs.probing.fitness import few
from jobs.reports.data import ReportData, by_eci, digits_of
from jobs.reports.drawing import INK, MUTED, REST
from jobs.reports.html_parts import section
from jobs.reports.marks import Chart, Figures, Room, by_state, drawn, inline, listing, made_of, state_of, states_of
from jobs.reports.names import labels
from jobs.reports.vega import Layer, channel, layered, options

HEIGHT = 380
CURVES = 5
POINTS = 40
UNIT = "nats per dimension"


def plane(data: ReportData) -> Chart | None:
    """Sources by information and misinformation, with the interval of their ECI and curves of equal ECI."""
    rows = by_eci(data)
    if not rows or max(row["information"] for row in rows) <= 0:
        return None
    best = listing([row["source"] for row in rows])
    return made_of(
        "plane",
        lambda room: _draw(rows, room, digits_of(data.ranking)),
        f"Each source by its information (across) and misinformation (up), both in {UNIT}, with dashed curves of equal ECI: far "
        f"right and low is best. By ECI, best first: {best}. The numbers are in the ranking table.",
    )


def _draw(rows: list[SourceRow], room: Room, digits: int) -> Any:
    top = max(max(row["information"] * _stretch(row, "eci_hi") for row in rows), 1e-9) * 1.06
    high = max(row["misinformation"] * _stretch(row, "eci_hi") for row in rows) * 1.15 or top / 4
    width = room.width - 66
    names = labels([row["source"] for row in rows], room.most)
    shown = [row["source"] for row in rows]
    spots = [(row["information"] / top * width, (1 - row["misinformation"] / high) * HEIGHT) for row in rows]
    curves = equal_eci(rows, top, high)
    # the end of a curve that lies in a corner with a source has no room for its name
    ends = [curve for curve in curves if curve["end"] and (1 - curve["misinformation"] / high) * HEIGHT < HEIGHT - 24]
    taken = [(e["information"] / top * width, (1 - e["misinformation"] / high) * HEIGHT) for e in ends]
    spans_of = [
        (px * (1 + more), HEIGHT - (HEIGHT - py) * (1 + more))
        for row, (px, py) in zip(rows, spots, strict=True)
        for end in ("eci_lo", "eci_hi")
        for part in (0.4, 0.7, 1.0)
        for more in ((_stretch(row, end) - 1) * part,)
    ]
    written = [names[name] if not room.narrow else str(i + 1) for i, name in enumerate(shown)]
    places = _places(spots, written, taken, spans_of, width)
    values = [
        {
            **{k: value_of(row, k) for k in ("source", "information", "misinformation")},
            "label": str(i + 1) if room.narrow else names[row["source"]],
            "state": state_of(row["rank"], row["rank_lo"]), "place": place,
            "i_lo": row["information"] * _stretch(row, "eci_lo"), "i_hi": row["information"] * _stretch(row, "eci_hi"),
            "m_lo": row["misinformation"] * _stretch(row, "eci_lo"), "m_hi": row["misinformation"] * _stretch(row, "eci_hi"),
            "said": f"{row['source']}: information {row['information']:.{digits + 1}f}, misinformation "
            f"{row['misinformation']:.{digits + 1}f}, ECI {row['eci']:.{digits + 1}f}",
        }
        for i, (row, place) in enumerate(zip(rows, places, strict=True))
    ]  # fmt: skip
    x = channel("information:Q", scale=options(domain=[0, top], nice=False),
              axis=options(title=f"information, {UNIT} → better", grid=False, tickCount=5))  # fmt: skip
    y = channel("misinformation:Q", scale=options(domain=[0, high], nice=False),
              axis=options(title=f"misinformation, {UNIT} → worse", grid=False, tickCount=5, minExtent=34, maxExtent=34))  # fmt: skip
    lines = (
        Layer(inline(curves))
        .mark("line", color=REST, strokeWidth=1, strokeDash=[4, 4])
        .encode(x=x, y=y, detail="level:N", order="order:Q")
    )
    marks = Layer(inline(ends)).mark("text", color=MUTED, dx=-4, dy=-8, align="right").encode(x=x, y=y, text="name:N")
    looks = by_state(states_of(values), columns=1 if room.narrow else 3)
    base = Layer(inline(values))
    spans = base.mark("rule", strokeWidth=2.5, strokeCap="round").encode(
        x=channel("i_lo:Q", scale=options(domain=[0, top], nice=False)),
        x2="i_hi:Q",
        y="m_lo:Q",
        y2="m_hi:Q",
        color=looks["color"],
    )
    points = base.mark("point", aria=True, filled=True, size=110, opacity=1).encode(
        x=x, y=y, description="said:N", **looks
    )
    layers = [lines, marks, spans, points]
    for place, (dx, dy, align) in PLACES.items():
        here = [value for value in values if value["place"] == place]
        text = Layer(inline(here)).mark("text", dx=dx, dy=dy, align=align, color=INK).encode(x=x, y=y, text="label:N")
        layers += [text] if here else []
    return layered(*layers, height=HEIGHT, width=width)


def _stretch(row: SourceRow, end: str) -> float:
    """Return an end of the interval in shares of the ECI: along its ray of equal purity, ECI grows as information does."""
    value = value_of(row, end)
    if few(row) or not row["eci"] > 0 or value is None or not math.isfinite(value):
        return 1.0
    return max(float(value), 0.0) / row["eci"]


def equal_eci(rows: list[SourceRow], top: float, high: float) -> list[dict[str, Any]]:
    """Return curves of equal ECI within the plane, points in order; ECI is I * I / (I + M), so M is I * I / ECI - I."""
    best = max(row["eci"] for row in rows)
    if not best > 0:
        return []
    step = 10 ** math.floor(math.log10(top / CURVES))
    step = next(step * f for f in (1, 2, 5, 10) if top / (step * f) <= CURVES + 0.5)
    found = []
    for level in (step * k for k in range(1, CURVES + 1)):
        if level >= top:
            break
        last = min(top, (level + math.sqrt(level * level + 4 * level * high)) / 2)
        for i in range(POINTS + 1):
            x = level + (last - level) * i / POINTS
            found.append({
                "information": x, "misinformation": min(x * x / level - x, high), "level": f"{level:g}", "order": i,
                "end": i == POINTS, "name": f"ECI {level:.3g}",
            })  # fmt: skip
    return found


PLACES: dict[str, tuple[int, int, Any]] = {
    "right": (10, 1, "left"),
    "above": (0, -15, "center"),
    "below": (0, 15, "center"),
    "left": (-10, 1, "right"),
}


def _places(
    points: list[tuple[float, float]],
    names: list[str],
    ends: list[tuple[float, float]],
    lines: list[tuple[float, float]],
    width: int,
) -> list[str]:
    """Return where each label goes so that it covers no point, label or end of a curve; `none` where all do. All in pixels."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    taken += [(x - 66, y - 16, x, y) for x, y in ends] + [(x - 2, y - 2, x + 2, y + 2) for x, y in lines]
    chosen = []
    for (px, py), name in zip(points, names, strict=True):
        wide, found = 7 * len(name), "none"
        for place, (dx, dy, align) in PLACES.items():
            left = px + dx - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * wide
            box = (left, py + dy - 7, left + wide, py + dy + 7)
            inside = box[0] > 2 and box[2] < width - 2 and box[1] > 0 and box[3] < HEIGHT + 10
            if inside and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                found = place
                taken.append(box)
                break
        chosen.append(found)
    return chosen


def plane_section(figures: Figures) -> str:
    """Return the section, empty where no source has information."""
    if "plane" not in figures:
        return ""
    lead = (
        "ECI is information times purity, the share of it that is not misinformation. Sources on one dashed curve have the same "
        "ECI: a source may win by more information or by less of it wrong."
    )
    caption = (
        "Line through a point: the 95 % interval of its ECI at its purity. On a narrow screen numbers are ranks by ECI; labels that "
        "would cover others are left out."
    )
    return section("plane", "Information against misinformation", lead, drawn(figures, "plane", caption))
