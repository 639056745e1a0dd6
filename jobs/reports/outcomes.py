"""The best mixture, rejected rows, and the history over runs that can be compared."""

from __future__ import annotations

from typing import Any

from jobs.output.records import SourceRow
from jobs.reports.data import ReportData, digits_of
from jobs.reports.drawing import ACCENT, WARN
from jobs.reports.html_parts import count, name, num, section, share, span, table, text
from jobs.reports.lines import Line, ended
from jobs.reports.marks import MOST_LINES, Chart, Figures, Room, drawn, inline, listing, made_of, names_axis
from jobs.reports.names import labels
from jobs.reports.vega import Layer, Spec, channel, layered, options

BAR = 24


def best_mixture(data: ReportData) -> SourceRow | None:
    """Return the mixture with the highest ECI, or None where no mixture was computed."""
    return max((row for row in data.ranking if row["kind"] == "mixture"), key=lambda row: row["eci"], default=None)


def bars(values: list[tuple[str, float, str]], room: Room, color: str, axis: Spec, domain: list[float] | None) -> Any:
    """Return bars with their figures at their ends. `values`: (name, length, figure)."""
    names = labels([value[0] for value in values], room.most)
    rows = [{"label": names[one], "length": length, "figure": figure} for one, length, figure in values]
    base = Layer(inline(rows)).encode(
        y=channel("label:N", sort=list(names.values()), axis=names_axis(room)),
        x=channel("length:Q", axis=axis, **({"scale": options(domain=domain)} if domain else {})),
    )
    figures = base.mark("text", align="left", dx=5).encode(text="figure:N")
    lengths = base.mark("bar", color=color, cornerRadius=2, height=14)
    return layered(lengths, figures, height=BAR * len(rows), width=room.width - room.names - 66)


def mixture(data: ReportData) -> Chart | None:
    """Shares of the best mixture; nothing for a mixture of one."""
    best = best_mixture(data)
    if best is None:
        return None
    parts = sorted(best["parts"], key=lambda part: -part["alpha"])
    values = [(part["source"], part["alpha"], f"{part['alpha']:.1%}") for part in parts if part["alpha"] > 0]
    if len(values) < 2:
        return None
    axis = options(title="share of the mixture", format=".0%", tickCount=4)
    return made_of(
        "mixture",
        lambda room: bars(values, room, ACCENT, axis, [0, 1]),
        f"Shares of the best mixture: {listing([f'{value[0]} {value[2]}' for value in values])}.",
    )


def mixture_section(data: ReportData, figures: Figures) -> str:
    """Return the section, empty where no mixture was computed."""
    best = best_mixture(data)
    if best is None:
        return ""
    single = max((row["eci"] for row in data.ranking if row["kind"] == "source"), default=0.0)
    digits = digits_of(data.ranking) + 1
    parts = [part["source"] for part in best["parts"] if part["alpha"] > 0]
    more = f"{best['eci'] - single:.{digits}f} more than the best single source"
    gain = more if single > 0 else "no single source has any"
    if single > 0 and best["eci"] < single * 1.0005:
        gain = "no more than the best single source alone"
    interval = f"95 % interval {span(best['eci_lo'], best['eci_hi'], digits).text}"
    lead = f"The best mixture has ECI {best['eci']:.{digits}f} ({interval}): {gain}."
    if len(parts) == 1:
        lead = f"By ECI no mixture is better than {parts[0]} alone."
    return section("mixture", "Best mixture", lead, drawn(figures, "mixture"))


def rejects(data: ReportData) -> Chart | None:
    """Rejected rows by reason."""
    found = sorted(data.manifest["rejects"].items(), key=lambda item: -item[1])
    if not found:
        return None
    axis = options(title="rows rejected", tickCount=4, tickMinStep=1, format="~s")
    return made_of(
        "rejects",
        lambda room: bars([(reason, n, f"{n:,}") for reason, n in found], room, WARN, axis, None),
        f"Rejected input rows by reason: {listing([f'{reason} {n:,}' for reason, n in found])}.",
    )


def rejects_section(data: ReportData, figures: Figures) -> str:
    """Return the section."""
    totals = data.manifest["totals"]
    balance = (
        f"{totals['rows_in']:,} rows in = {totals['scored']:,} scored + {totals['rejected']:,} rejected + "
        f"{totals['duplicates']:,} duplicates"
        + (f" + {totals['not_sampled']:,} of queries not sampled." if totals.get("not_sampled") else ".")
    )
    if not data.rejects:
        return section("rejects", "Rejected rows", f"{balance} Nothing was rejected.")
    rows = [
        [name(r["source"] if r["source"] is not None else "–"), text(r["reason"]), count(r["rows"]), text(r["detail"])]
        for r in data.rejects
    ]
    heads = [(title, "") for title in ("source", "reason", "rows", "for example")]
    tabled = table("Rejected rows by source and reason", heads, rows)
    return section("rejects", "Rejected rows", balance, drawn(figures, "rejects"), tabled)


def history(data: ReportData) -> Chart | None:
    """ECI of the leading sources over the runs that can be compared, in UTC."""
    runs = {row["run_id"] for row in data.history}
    if len(runs) < 2:
        return None
    ways: list[Line] = []
    for source in data.shown:
        rows = [row for row in data.history if row["source"] == source and row["kind"] == "source"]
        if rows and len(ways) < MOST_LINES:
            ways.append(
                Line(
                    source,
                    [(row["created_at"].isoformat(), row["eci_lo"], row["eci"], row["eci_hi"]) for row in rows],
                    len(ways),
                )
            )
    x = channel(
        "x:T",
        scale=options(type="utc"),
        axis=options(
            title="time (UTC)", grid=False, tickCount=3, format="%m-%d %H:%M", labelOverlap=True, labelFlush=True
        ),
    )
    return made_of(
        "history",
        lambda room: ended(ways, room, 280, x, "ECI, nats per dimension", spans=True),
        f"ECI of the {len(ways)} leading sources over {len(runs)} runs: {listing([way.source for way in ways])}. The table has the numbers.",
    )


def history_section(data: ReportData, figures: Figures) -> str:
    """Return the section."""
    runs: dict[str, list[SourceRow]] = {}
    for row in data.history:
        runs.setdefault(row["run_id"], []).append(row)
    digits = digits_of(data.ranking) + 1
    sampled_runs = any((row.get("sample_share") or 1) < 1 for row in data.history)
    rows = []
    for run_id, found in reversed(runs.items()):
        best = min(found, key=lambda row: row["rank"] or 10**9)
        rows.append(
            [
                text(run_id, strong=run_id == data.manifest["run_id"]),
                text(f"{best['created_at']:%Y-%m-%d %H:%M} UTC"),
                name(best["source"]),
                num(best["eci"], digits),
                count(sum(row["n_examples"] for row in found if row["kind"] == "source")),
                *([share(best.get("sample_share"))] if sampled_runs else []),
            ]
        )
    lead = f"{len(runs)} run{'s' * (len(runs) != 1)} with the same encoder and settings of the score in this lake."
    if data.other_runs:
        lead += f" {data.other_runs} more cannot be compared with this one and are left out."
    heads = [(title, "") for title in ("run", "time", "first by ECI", "its ECI", "triples")]
    heads += [("queries used", "")] if sampled_runs else []
    return section("history", "History", lead, drawn(figures, "history"), table("Runs", heads, rows))
