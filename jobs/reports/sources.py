"""A card for each source: its numbers, margins, what it shares with others, its way over runs, best and worst triples, its command."""

from __future__ import annotations

from typing import Any

from jobs.output.records import SourceRow
from jobs.probing.answer import interval, points
from jobs.probing.decision import Decision, select_command
from jobs.probing.fitness import few
from jobs.reports.card import one_line
from jobs.reports.data import BIN, EXAMPLES, ReportData, digits_of
from jobs.reports.html_parts import command, count, esc, name, num, section, share, span, table
from jobs.reports.names import named
from jobs.reports.sample import is_part
from jobs.reports.small import histogram, way
from jobs.reports.triple import article
from jobs.terminal.console import TOO_FEW

MOST_SHARED = 5
MOST_RUNS = 12


def sources_section(data: ReportData) -> str:
    """Return the section, empty where there is no source."""
    rows = {row["source"]: row for row in data.ranking if row["kind"] == "source"}
    shown = [source for source in data.shown if source in rows]
    if not shown:
        return ""
    more = f" Here are the first {len(shown)} of {len(rows)}." if len(rows) > len(shown) else ""
    lead = (
        f"All that is known of each. The {EXAMPLES} triples with the largest and the {EXAMPLES} with the smallest weight: below 0, the "
        "encoder thinks that the negative answers the query better than the positive; read whether it is right. Words of the query "
        f"are marked.{more}"
    )
    cards = (_card(data, rows[source], i == 0) for i, source in enumerate(shown))
    return section("sources", "Sources, one by one", lead, *cards)


def _card(data: ReportData, row: SourceRow, opened: bool) -> str:
    source = row["source"]
    parts = [
        _numbers(data, row),
        _margins(data, row),
        _shared(data, source),
        _way(data, source),
        _examples(data, source),
        _select(data, source),
    ]
    said = f"{row['eci']:.{digits_of(data.ranking)}f} ECI, {row['n_examples']:,} triples"
    return (
        f'<details class="source-card"{" open" if opened else ""}><summary><bdi>{esc(source)}</bdi> '
        f'<span class="note">{esc(said)}</span></summary>{"".join(parts)}</details>'
    )


def _numbers(data: ReportData, row: SourceRow) -> str:
    digits = digits_of(data.ranking) + 1
    tried = next((one for one in data.probe.rows if one["source"] == row["source"]), None) if data.probe else None
    facts = []
    if tried:
        facts += [("rank by the probe", _rank(tried["rank"], tried["rank_low"], tried["rank_high"])),
                  ("probe gain", f"{points(tried['gain'])} ({interval(tried['gain_low'], tried['gain_high'])})")]  # fmt: skip
    sure = TOO_FEW if few(row) else span(row["eci_lo"], row["eci_hi"], digits).text
    facts += [
        ("rank by ECI", _rank(row["rank"], row["rank_lo"], row["rank_hi"])),
        ("ECI", f"{row['eci']:.{digits}f} ({sure})"),
        ("information", f"{row['information']:.{digits}f}"),
        ("misinformation", f"{row['misinformation']:.{digits}f}"),
        ("purity", f"{row['purity']:.3f}"),
        ("negatives above their positive", share(row["violation_rate"]).text),
        ("near duplicates", share(row["near_duplicate_rate"]).text),
        ("hardness", f"{row['hardness']:.3f}"),
        ("margin", f"{row['margin']:.3f}"),
        ("overlap of words", num(row["lexical_overlap"]).text),
        ("effective rank", f"{row['effective_rank']:.0f}"),
        ("triples", count(row["n_examples"]).text),
        ("queries", count(row["n_queries"]).text),
        ("distinct negatives", count(row["n_negatives"]).text),
        ("rejected rows", count(row["n_rejected"]).text),
    ]
    return f'<dl class="facts">{"".join(f"<div><dt>{esc(a)}</dt><dd>{esc(b)}</dd></div>" for a, b in facts)}</dl>'


def _rank(rank: int | None, low: int | None, high: int | None) -> str:
    return "–" if rank is None else f"{rank}" if low == high else f"{rank} ({low} to {high})"


def _margins(data: ReportData, row: SourceRow) -> str:
    every = data.histograms.get("margin", {})
    bins = every.get(row["source"])
    if not bins:
        return ""
    edges = [x for found in every.values() for x, _ in found]
    domain = (min(edges), max(edges) + BIN)
    lowest, highest = bins[0][0], bins[-1][0] + BIN
    words = (
        f"Margins from {lowest:.2f} to {highest:.2f}, {row['margin']:.2f} on average; {row['violation_rate']:.1%} are below 0 (left of "
        "the line). The width is that of all sources' margins."
    )
    return f'<h3>Margin</h3><div class="beside">{histogram(bins, BIN, domain)}<p class="note">{esc(words)}</p></div>'


def _shared(data: ReportData, source: str) -> str:
    """Return with which sources it has most negatives in common, each for the same query."""
    found = dict(data.shared.get(source, {}))
    own = found.pop(source, 0)
    if not own:
        return ""
    part = "" if data.looked_at >= 1 else f" (counted over {data.looked_at:.1%} of the queries)"
    title = "<h3>What it shares with others</h3>"
    if not found:
        return f'{title}<p class="note">No other source has one of its negatives for the same query{esc(part)}.</p>'
    most = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MOST_SHARED]
    rows = [[name(other), count(n), share(n / own), share(n / data.shared[other][other])] for other, n in most]
    heads = [("source", ""), ("negatives in common", "of the same query"), ("of its own", ""), ("of the other's", "")]
    more = f" {len(found) - len(most)} more share some." if len(found) > len(most) else ""
    note = f'<p class="note">Negatives of the same query that both have{esc(part)}.{more}</p>'
    return f"{title}{note}{table(f'What {source} shares with others', heads, rows, sortable=False)}"


def _way(data: ReportData, source: str) -> str:
    rows = [row for row in data.history if row["source"] == source and row["kind"] == "source"][-MOST_RUNS:]
    if len(rows) < 2:
        return ""
    digits = digits_of(data.ranking) + 1
    first, last = rows[0], rows[-1]
    words = (
        f"ECI over {len(rows)} comparable runs, oldest on the left: {first['eci']:.{digits}f} "
        f"({first['created_at']:%Y-%m-%d %H:%M} UTC) to {last['eci']:.{digits}f} ({last['created_at']:%Y-%m-%d %H:%M} UTC); "
        f"lowest {min(row['eci'] for row in rows):.{digits}f}, highest {max(row['eci'] for row in rows):.{digits}f}."
    )
    drawing = way([(row["eci_lo"], row["eci"], row["eci_hi"]) for row in rows])
    return f'<h3>Over runs</h3><div class="beside">{drawing}<p class="note">{esc(words)}</p></div>'


def _examples(data: ReportData, source: str) -> str:
    if source not in data.examples:
        return ""
    best, worst = data.examples[source]
    sides: tuple[tuple[str, str, list[dict[str, Any]]], ...] = (
        ("good", "Largest weight", best), ("bad", "Smallest weight", worst),
    )  # fmt: skip
    inner = "".join(
        f'<div><h3 class="{kind}">{title}</h3>{"".join(map(article, of))}</div>' for kind, title, of in sides if of
    )
    return f'<div class="two">{inner}</div>'


def _select(data: ReportData, source: str) -> str:
    alone = Decision((source,), (source,), False, (), ())
    line = select_command(alone, data.out, data.manifest["run_id"], [source], is_part(data))
    what = f"Write its training file: {named(source)}"
    if line is None:
        return ""
    return command(what, one_line(line))
