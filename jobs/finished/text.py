"""A ranking in words: the columns of the table that a terminal shows, and the sentences below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jobs.output.records import PairRow, SampleUsed, SourceRow
from jobs.probing.answer import not_decided, score_first, score_lead, tied_by_score
from jobs.terminal.console import duration, number
from jobs.terminal.fitting import Column

BAR = 28
INTERVAL = "95 % interval"


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


def ranking_columns(rows: Sequence[SourceRow]) -> list[Column]:
    """Return the ranking as columns. `rows`: of source_eci, in the order of rank."""
    top = max([row["eci_hi"] for row in rows if math.isfinite(row["eci_hi"] or math.nan)] or [0.0])
    return [
        Column("rank", [ranked(row["rank"], row["rank_lo"], row["rank_hi"]) for row in rows]),
        Column("source", [row["source"] for row in rows], right=False, name=True),
        Column("ECI", [number(row["eci"], top) for row in rows]),
        Column(INTERVAL, [f"{number(row['eci_lo'], top)} .. {number(row['eci_hi'], top)}" for row in rows], goes=4),
        Column(
            "", [bar(row["eci_lo"], row["eci"], row["eci_hi"], top) for row in rows], right=False, goes=1, plot=True
        ),
        Column("purity", [f"{row['purity']:.3f}" for row in rows], goes=3),
        Column("hardness", [f"{row['hardness']:.3f}" for row in rows], goes=2),
        Column("violations", [f"{row['violation_rate']:.1%}" for row in rows], goes=5),
        Column("triples", [f"{row['n_examples']:,}" for row in rows]),
    ]


def ranked(rank: int | None, low: int | None, high: int | None) -> str:
    """Return a rank with the ranks that are not excluded; nothing for a row without one."""
    return "" if rank is None else str(rank) if low == high else f"{rank} ({low}-{high})"


def verdict(rows: Sequence[SourceRow], pairs: Sequence[PairRow]) -> list[str]:
    """Return the answer by ECI in sentences: the leader and its lead, and between which sources nothing is decided."""
    if len(rows) < 2:
        return [score_first(rows)]
    return [*score_lead(rows, pairs), *tied_by_score(rows, pairs)]


def used_of(sample: SampleUsed) -> str:
    """Return how many of the queries a run has used: `740 of 3,000 queries (24.7%)`."""
    used, total = sample["queries"], sample["all_queries"]
    return f"{used:,} of {total:,} queries ({used / max(total, 1):.1%})"


def sample_lines(sample: SampleUsed, left: dict[str, Any]) -> list[str]:
    """Return what a run over a sample of the queries used and left open, and what a whole run costs beyond it.

    Nothing for a whole run. `left`: as `results.left_to_embed`.
    """
    used, total = sample["queries"], sample["all_queries"]
    if sample["decided"] is None and used == total:
        return []
    lines = [f"Used {used_of(sample)} in {sample['looks']} look{'s' * (sample['looks'] != 1)}."]
    if sample["decided"] is not None:
        opened = f"Open with {'all queries' if used == total else 'the queries'} used"
        pairs = sample["open_pairs"]
        order = list(dict.fromkeys(name for pair in pairs for name in pair))
        lines += ["The question asked is answered."] if sample["decided"] else not_decided(order, pairs, opened)
    if used < total and left["texts"]:
        about = f", at most about {duration(left['seconds'])}" if left["seconds"] is not None else ""
        lines.append(f"A run over all queries would embed what the cache lacks of {left['texts']:,} more texts{about}.")
    return lines
