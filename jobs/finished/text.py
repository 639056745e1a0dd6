"""A ranking in words: the table that a terminal shows, and the sentences below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from jobs.output.records import PairRow, SampleUsed, SourceRow
from jobs.probing.cautions import few, unfit
from jobs.terminal.console import duration, number

BAR = 28


def bar(low: float, value: float, high: float, top: float) -> str:
    """Return an interval as text: `─` from low to high, `●` at the value, over a scale from 0 to `top`."""
    if not (top > 0 and math.isfinite(low) and math.isfinite(high)):
        return ""

    def cell(x: float) -> int:
        return max(0, min(BAR - 1, round(x / top * (BAR - 1))))

    cells = [" "] * BAR
    for i in range(cell(low), cell(high) + 1):
        cells[i] = "─"
    cells[cell(value)] = "●"
    return "".join(cells).rstrip()


def ranking_table(rows: Sequence[SourceRow]) -> Table:
    """Return the ranking as a table. `rows`: of source_eci, in the order of rank."""
    top = max([row["eci_hi"] for row in rows if math.isfinite(row["eci_hi"] or math.nan)] or [0.0])
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (
        ("rank", "right"), ("source", "left"), ("ECI", "right"), ("95 % interval", "right"), ("", "left"),
        ("purity", "right"), ("hardness", "right"), ("violations", "right"), ("triples", "right"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=name != "source", overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(
            ranked(row["rank"], row["rank_lo"], row["rank_hi"]),
            Text(row["source"]),
            number(row["eci"], top),
            eci_interval(row, top),
            "" if few(row) else bar(row["eci_lo"], row["eci"], row["eci_hi"], top),
            f"{row['purity']:.3f}",
            f"{row['hardness']:.3f}",
            f"{row['violation_rate']:.1%}",
            f"{row['n_examples']:,}",
        )
    return table


def eci_interval(row: SourceRow, top: float) -> str:
    """Return the interval of a row's ECI, `too few` where its queries or folds do not give one. `top`: the largest end."""
    return "too few" if few(row) else f"{number(row['eci_lo'], top)} .. {number(row['eci_hi'], top)}"


def ranked(rank: int | None, low: int | None, high: int | None) -> str:
    """Return a rank with the ranks that are not excluded; nothing for a row without one."""
    return "" if rank is None else str(rank) if low == high else f"{rank} ({low}-{high})"


def verdict(rows: Sequence[SourceRow], pairs: Sequence[PairRow]) -> list[str]:
    """Return the answer in sentences: the leader and its lead, and the pairs that are not decided."""
    if not rows:
        return ["No source was scored."]
    if len(rows) == 1:
        return [f"{rows[0]['source']} is the only source; a second one is needed to rank."]
    best, second = rows[0]["source"], rows[1]["source"]
    pair = next(p for p in pairs if p["a"] == best and p["b"] == second)
    top = rows[0]["eci"]
    lead = f"{number(pair['difference'], top)}, 95 % interval {number(pair['lo'], top)} .. {number(pair['hi'], top)}"
    apart = unfit(rows)
    word = "NOT comparable." if {best, second} & apart else "decided." if pair["decided"] else "NOT decided."
    lines = [f"By ECI, {best} is ahead of {second} by {lead}: {word}"]
    order = [row["source"] for row in rows]
    open_pairs = [
        f"{p['a']} / {p['b']}"
        for p in pairs
        if not p["decided"] and not {p["a"], p["b"]} & apart and order.index(p["a"]) < order.index(p["b"])
    ]
    if open_pairs:
        shown = ", ".join(open_pairs[:8]) + (f" and {len(open_pairs) - 8} more" if len(open_pairs) > 8 else "")
        lines.append(f"Not decided: {shown}.")
    return lines


def sample_lines(sample: SampleUsed, left: dict[str, Any]) -> list[str]:
    """Return what a run over a sample of the queries used and left open, and what a whole run costs beyond it.

    Nothing for a whole run. `left`: as `results.left_to_embed`.
    """
    used, total = sample["queries"], sample["all_queries"]
    if sample["decided"] is None and used == total:
        return []
    lines = [f"Used {used:,} of {total:,} queries ({used / max(total, 1):.1%}) in {sample['looks']} look(s)."]
    if sample["decided"] is not None:
        still = ", ".join(f"{a} / {b}" for a, b in sample["open_pairs"])
        lines.append(
            "The question asked is answered."
            if sample["decided"]
            else f"Open with {'all queries' if used == total else 'the queries'} used: {still}."
        )
    if used < total and left["texts"]:
        about = f", at most about {duration(left['seconds'])}" if left["seconds"] is not None else ""
        lines.append(f"A run over all queries would embed what the cache lacks of {left['texts']:,} more texts{about}.")
    return lines
