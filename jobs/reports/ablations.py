"""The report on `eci ablate`: each perturbed ranking's agreement with the run's, and the ECI of each source under it.

A figure, a grid and a table with all numbers; nothing where no ablations were made.
"""

from __future__ import annotations

from typing import Any

from jobs.reports.data import ReportData, by_eci, digits_of
from jobs.reports.drawing import ACCENT, WARN
from jobs.reports.grid import Row, Square, columns, grid
from jobs.reports.html_parts import esc, folded, name, num, section, table, text
from jobs.reports.marks import Chart, Figures, Room, drawn, inline, listing, made_of, names_axis
from jobs.reports.names import labels, named
from jobs.reports.vega import Layer, channel, datum, layered, options

MOST_ROWS = 500
MOST_CASES = 60
SAME, OTHER = "the same best source", "another best source"


def cases(data: ReportData) -> list[tuple[str, dict[str, Any]]]:
    """Return (label, row of `ablations`) of the figures: the run itself first, then in the order of the table."""
    rows = sorted(data.ablations, key=lambda row: row["ablation"] != "none")[:MOST_CASES]
    return [(_label(row), row) for row in rows]


def _label(row: dict[str, Any]) -> str:
    kind, value = row["ablation"], row["value"]
    return value if kind in ("none", "sample") else f"{kind} {value}"


def agreement(data: ReportData) -> Chart | None:
    """Kendall's tau of each perturbed ranking with the run's; colour and shape say whether the best source is the same."""
    found = [(label, row) for label, row in cases(data) if row["kendall"] is not None and row["ablation"] != "none"]
    if not found:
        return None
    values = [
        {"case": label, "best": _best(data, row), "kendall": row["kendall"],
         "said": f"{label}: Kendall {row['kendall']:.3f}, Spearman {row['spearman']:.3f}, best source {row['top_source']}"}
        for label, row in found
    ]  # fmt: skip
    lowest = min(found, key=lambda case: case[1]["kendall"])
    return made_of(
        "ablations",
        lambda room: _draw(values, room),
        f"Kendall tau of {len(found)} perturbed rankings with the run's; the lowest is {lowest[1]['kendall']:.2f}, "
        f"for {lowest[0]}. Best sources: {listing(sorted({row['top_source'] for _, row in found if row['top_source']}))}. "
        "The table has the numbers.",
    )


def _draw(values: list[dict[str, Any]], room: Room) -> Any:
    names = labels([value["case"] for value in values], room.most)
    low = min([0.0, *(value["kendall"] for value in values)])
    legend = options(orient="top", title=None, labelLimit=300, columns=1 if room.narrow else 2)
    base = Layer(inline([{**value, "label": names[value["case"]]} for value in values])).encode(
        y=channel("label:N", sort=[names[value["case"]] for value in values], axis=names_axis(room)),
        x=channel(
            "kendall:Q",
            scale=options(domain=[low, 1], nice=True),
            axis=options(title="Kendall tau with the run's ranking", tickCount=4),
        ),
        color=channel("best:N", scale=options(domain=[SAME, OTHER], range=[ACCENT, WARN]), legend=legend),
    )
    rules = base.mark("rule", strokeWidth=1.5).encode(x2=datum(0))
    shape = channel("best:N", scale=options(domain=[SAME, OTHER], range=["circle", "diamond"]), legend=legend)
    points = base.mark("point", aria=True, filled=True, size=90, opacity=1).encode(shape=shape, description="said:N")
    return layered(rules, points, height=22 * len(values), width=room.width - room.names - 14)


def ablated_sources(data: ReportData) -> str:
    """Return a table of the ECI of each source in each ranking; the shade is its share of the best one's ECI in the same row.

    ECI of different temperatures or formulas has different sizes, so shades compare sources within a row only.
    """
    names = columns(data)
    rows = []
    for label, row in cases(data):
        of = {one["source"]: one["eci"] for one in row["sources"]}
        if not of:
            continue
        order = {source: rank for rank, source in enumerate(sorted(of, key=lambda source: -of[source]), start=1)}
        top = max(of.values())
        squares = [
            Square(
                _short(of[source]),
                f"{label}, {source}: ECI {of[source]:.5f}, rank {order[source]}",
                "first" if order[source] == 1 else "open",
                max(of[source], 0.0) / top if top > 0 else 0.0,
            )
            if source in of
            else None
            for source in names
        ]
        rows.append(Row(esc(label), squares))
    return (
        grid("ECI of each source under each ablation", "changed", [named(source, 14) for source in names], rows)
        if rows
        else ""
    )


def _best(data: ReportData, row: dict[str, Any]) -> str:
    first = next((one["source"] for one in by_eci(data) if one["kind"] == "source"), None)
    return SAME if row["top_source"] == first else OTHER


def _short(value: float) -> str:
    """Return an ECI in at most seven characters: 0.0817, 4e-4, 12.3."""
    if abs(value) >= 0.001 or value == 0:
        return f"{value:.3g}" if abs(value) >= 1 else f"{value:.4f}"
    return f"{value:.0e}".replace("e-0", "e-")


def ablation_section(data: ReportData, figures: Figures) -> str:
    """Return the section, empty where `eci ablate` has not run."""
    if not data.ablations:
        return ""
    digits = digits_of(data.ranking)
    heads = [(title, "") for title in ("changed", "to", "Kendall", "Spearman", "best source", "ECI of each source")]
    rows = [
        [text(row["ablation"]), text(row["value"]), num(row["kendall"]), num(row["spearman"]), name(row["top_source"] or "–"),
         text(", ".join(f"{one['source']} {one['eci']:.{digits}f}" for one in row["sources"]))]
        for row in data.ablations[:MOST_ROWS]
    ]  # fmt: skip
    changed = [row for row in data.ablations if row["ablation"] != "none"]
    same = sum(_best(data, row) == SAME for row in changed)
    lead = (
        "The ranking again with one thing changed at a time: an order that survives does not hang on that choice. A "
        "Kendall tau of 1 is the same order, -1 the reverse. "
        f"{same} of {len(changed)} keep the best source."
    )
    caption = (
        "In bold: the best source of the row; the stronger the shade, the nearer to it. Compare within a row: another "
        "temperature or formula has another scale."
    )
    return section(
        "ablations",
        "Ablations",
        lead,
        "<h3>Agreement with the run</h3>",
        drawn(figures, "ablations"),
        "<h3>ECI of each source</h3>",
        ablated_sources(data),
        f'<p class="note">{esc(caption)}</p>',
        folded("All ablations as a table", table("Ablations", heads, rows)),
    )
