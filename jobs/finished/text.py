"""A ranking in words: the columns of the table that a terminal shows, and the sentences below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jobs.output.records import Loss, NamedSource, RanksTaken, SampleUsed, SourceRow, Totals
from jobs.probing.answer import not_decided
from jobs.probing.fitness import few
from jobs.terminal.console import TOO_FEW, duration, interval, number
from jobs.terminal.escape import shown
from jobs.terminal.fitting import Column

BAR = 28
NAMED = 12
"""Sources named after files that are told one by one."""
NUMBERS = "a number in the place of a text is such an id"
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
        Column("source", [shown(row["source"]) for row in rows], right=False, name=True),
        Column("ECI", [number(row["eci"], top) for row in rows]),
        Column(INTERVAL, [eci_interval(row, top) for row in rows], goes=4),
        Column("", [_eci_bar(row, top) for row in rows], right=False, goes=1, plot=True),
        Column("purity", [f"{row['purity']:.3f}" for row in rows], goes=3),
        Column("hardness", [f"{row['hardness']:.3f}" for row in rows], goes=2),
        Column("violations", [f"{row['violation_rate']:.1%}" for row in rows], goes=5),
        Column("triples", [f"{row['n_examples']:,}" for row in rows]),
    ]


def named_line(named: Sequence[NamedSource]) -> str | None:
    """Return the sources that are named after files, and where they come from, in one line; None where there are none."""
    if not named:
        return None
    told = []
    for each in named[:NAMED]:
        first, *others = each["files"]
        where = "/".join(first.split("/")[-2:]) + (f" and {len(others)} more" if others else "")
        told.append(f"{each['source']} from {where} ({each['rule']})")
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"Sources named after files: {'; '.join(told)}{more}. Name them with --triples NAME=PATH."


def ranks_lines(taken: Sequence[RanksTaken]) -> list[str]:
    """Return what was taken of run files, a sentence for each choice of ranks."""
    return [
        f"Of {_some_files(each['files'])}, the hits at ranks {each['ranks']} of each query are taken"
        f"{' (the default; --ranks says otherwise)' if each['by_default'] else ''}."
        for each in taken
    ]


def _some_files(paths: Sequence[str]) -> str:
    names = [path.rpartition("/")[2] for path in paths[:NAMED]]
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"run file{'s' * (len(paths) != 1)} {', '.join(names)}{more}"


def without_text_line(rows: int) -> list[str]:
    """Return what is to be said of rows that name a text by an id alone; nothing where there is none."""
    those = "1 row names" if rows == 1 else f"{rows:,} rows name"
    return [f"{those} a text by an id that no file has a text for, and {NUMBERS} (bad_vector)."] if rows else []


def loss_line(loss: Loss) -> str:
    """Return what a source has lost to rejects."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in loss["reasons"].items())
    return f"source {loss['source']} loses {loss['lost']:,} of {loss['rows']:,} rows ({reasons})"


def near_positive_lines(rows: Sequence[SourceRow]) -> list[str]:
    """Return which sources have negatives that are their positives but for case and white space; nothing where none has."""
    # runs of older versions have not counted them
    near = {row["source"]: row.get("n_near_positive") or 0 for row in rows if row["kind"] == "source"}
    told = ", ".join(f"{source} {count:,}" for source, count in near.items() if count)
    return [f"Negatives that are their positive but for case or white space (near_positive): {told}."] if told else []


def repeated_lines(totals: Totals) -> list[str]:
    """Return what is to be said of ids that stand for several texts."""
    # runs of older versions have not counted them
    again, several = totals.get("repeated_ids", 0), totals.get("ids_of_several_texts", 0)
    lines = [
        f"Records of --corpus or --queries that repeat an id with another text: {again:,}; the first text was taken."
    ]
    lines += [f"Ids in the triples that stand for several texts: {several:,}; each text was taken as its own."]
    return [line for line, count in zip(lines, (again, several), strict=True) if count]


def eci_interval(row: SourceRow, top: float) -> str:
    """Return the interval of a row's ECI, `too few` where its queries or folds do not give one. `top`: the largest end."""
    return TOO_FEW if few(row) else interval(row["eci_lo"], row["eci_hi"], top)


def _eci_bar(row: SourceRow, top: float) -> str:
    return "" if few(row) else bar(row["eci_lo"], row["eci"], row["eci_hi"], top)


def ranked(rank: int | None, low: int | None, high: int | None) -> str:
    """Return a rank with the ranks that are not excluded; nothing for a row without one."""
    return "" if rank is None else str(rank) if low == high else f"{rank} ({low}-{high})"


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
